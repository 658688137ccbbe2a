package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/furima/furima/client"
)

// Browsing needs no session. Buying does: log in, and use the client with the token.
func ExampleClient() {
	ctx := context.Background()
	c := client.New(client.Options{BaseURL: "http://127.0.0.1:8080"})
	page, err := c.Items(ctx, client.ItemQuery{Category: 12, Sort: client.SortPriceAsc, Limit: 10})
	if err != nil {
		log.Fatal(err)
	}
	session, err := c.LogIn(ctx, client.Credentials{Email: "hanako@example.com", Password: os.Getenv("PASSWORD")})
	if err != nil {
		log.Fatal(err)
	}
	me := c.WithToken(session.Token)
	for _, item := range page.Items {
		order, err := me.Buy(ctx, client.NewOrder{ItemID: item.ID, ExpectedPrice: item.Price, PaymentToken: "tok_ok"})
		if p, ok := errors.AsType[*client.Problem](err); ok && p.Reason == "item_sold" {
			continue // somebody was quicker: the next one
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(order.ID, order.State)
		break
	}
}

// An item is listed with photos that have been uploaded before.
func ExampleClient_ListItem() {
	ctx := context.Background()
	c := client.New(client.Options{BaseURL: "http://127.0.0.1:8080", Token: os.Getenv("TOKEN")})
	f, err := os.Open("chair.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	photo, err := c.AddPhoto(ctx, f)
	if err != nil {
		log.Fatal(err)
	}
	item, err := c.ListItem(ctx, client.NewItem{
		Title: "Oak chair", Price: 4500, CategoryID: 12, Condition: "good", PhotoIDs: []string{photo.ID},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(item.ID)
}

// A list may be walked to its end without a thought of pages.
func ExampleClient_AllItems() {
	c := client.New(client.Options{BaseURL: "http://127.0.0.1:8080"})
	for item, err := range c.AllItems(context.Background(), client.ItemQuery{Seller: "us_0c2tn5w8q1z4x"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(item.Price, item.Title)
	}
}

// The gateway has the notifications on disk when Send returns.
func ExamplePush() {
	ctx := context.Background()
	p := client.NewPush(client.PushOptions{URL: "unix:/run/furima/push.sock"})
	accepted, err := p.Send(ctx, client.PushRequest{
		App: "market",
		Notifications: []client.Notification{{
			Tokens: []string{"740f4707bebcf74f9b7c25d48e3358945f6aa01da5ddb387462c7eaf61bb78ad"}, Platform: client.APNS,
			Title: "Sold", Body: "Your oak chair has been bought.", Data: map[string]string{"order_id": "or_0c2tn5w8q1z4x"},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	status, err := p.Status(ctx, accepted.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Sent, "of", status.Total)
}
