// Package market is the domain of the flea market: items, people, orders,
// money, the tables of their states, and the rules that decide what may
// happen. It is pure: no input or output, no clock (the time is an argument),
// nothing but the standard library. Whoever stores or serves these things asks
// here first.
//
// Start with DefaultRules and the function named after what is to happen:
//
//	rules := market.DefaultRules()
//	item, err := rules.NewItem(market.ItemDraft{
//		ID: id, Seller: seller, Category: 12,
//		Title: "Oak chair", Price: 4500, Condition: market.ConditionGood,
//	}, now)
//	if err != nil {
//		for _, fault := range market.Faults(err) {
//			fmt.Println(fault.Field, fault.Message) // "price the price is …"
//		}
//	}
//	item, order, err := rules.Reserve(item, buyer, orderID, item.Price, now)
//
// Errors are *Error: a Code of a closed set of eight, a more specific Reason
// and a Message that may be shown to people. CodeOf and ReasonOf read them out
// of any error.
//
// The package does not make anything durable, and a rule that returns nil is
// not a promise: only a conditional write of package store decides who of two
// buyers gets an item. All functions may be called from many goroutines; values
// are plain data and belong to whoever holds them. IDs is the only type that
// holds a lock.
package market
