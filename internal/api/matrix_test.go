package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
)

// access is a row of the matrix: what an operation answers to whom. The people
// ask in the order of the fields, of one market. A row is for one operation of
// the OpenAPI document; an operation without a row fails the test.
type access struct {
	id   string // the path's parameter
	body string
	prep func(m *matrix)

	everyone int // the same to all, also without a session

	// For operations that need a session: without one it is 401, and 403 to
	// somebody who is suspended.
	blocked, stranger, buyer, seller int
}

func all(status int) access {
	return access{blocked: status, stranger: status, buyer: status, seller: status}
}

func (a access) with(id, body string) access {
	a.id, a.body = id, body
	return a
}

var accessMatrix = map[string]access{
	"getPhoto":      {id: "none_s.jpg", everyone: 404},
	"getCatalog":    {everyone: 200},
	"getItems":      {everyone: 200},
	"getItemFacets": {everyone: 200},
	"getItem":       {id: "{item}", everyone: 200},
	"getComments":   {id: "{item}", everyone: 200},
	"getUser":       {id: "{ken}", everyone: 200},
	"getReviews":    {id: "{ken}", everyone: 200},
	"register":      {body: `{"email":"x","password":"a long enough secret","name":"x"}`, everyone: 422},
	"logIn":         {body: `{"email":"nobody@example.com","password":"a long enough secret"}`, everyone: 401},

	"logOut":         all(204),
	"getMe":          all(200),
	"changeMe":       all(200).with("", `{"bio":"x"}`),
	"changePassword": all(403).with("", `{"current_password":"a wrong one","new_password":"a long enough secret"}`),
	"deleteMe":       all(403).with("", `{"password":"a wrong one"}`),
	"putDevice":      all(200).with("phone", `{"platform":"apns","token":"aa"}`),
	"deleteDevice":   all(204).with("phone", ""),
	"getMyItems":     all(200),
	"getLikes":       all(200),
	"getOrders":      all(200),
	"getBalance":     all(200),
	"getBlocks":      all(200),
	"blockUser":      {id: "{mal}", blocked: 204, stranger: 422, buyer: 204, seller: 204},
	"unblockUser":    all(204).with("{mal}", ""),

	"getNotifications":  all(200),
	"readNotifications": {body: `{"up_to":"{news}"}`, blocked: 404, stranger: 404, buyer: 404, seller: 204},

	"listItem":      all(201).with("", `{"title":"x","price":900,"category_id":2,"condition":"good"}`),
	"changeItem":    {id: "{item}", body: `{"title":"y"}`, blocked: 403, stranger: 403, buyer: 403, seller: 200},
	"likeItem":      {id: "{item}", blocked: 403, stranger: 204, buyer: 204, seller: 409},
	"unlikeItem":    all(204).with("{item}", ""),
	"commentItem":   {id: "{item}", body: `{"body":"hi"}`, blocked: 403, stranger: 201, buyer: 201, seller: 201},
	"deleteComment": {id: "{item}", blocked: 403, stranger: 403, buyer: 204, seller: 204},
	"addPhoto":      all(415).with("", `{}`),
	"addReport":     {body: `{"kind":"item","subject_id":"{item}","reason":"spam"}`, blocked: 201, stranger: 201, buyer: 201, seller: 409},

	"buyItem":       {body: `{"item_id":"{item}","expected_price":900,"payment_token":"tok_ok"}`, blocked: 403, stranger: 201, buyer: 409, seller: 409},
	"getOrder":      {id: "{order}", blocked: 404, stranger: 404, buyer: 200, seller: 200},
	"makeLabel":     {id: "{order}", blocked: 404, stranger: 404, buyer: 403, seller: 200},
	"shipOrder":     {id: "{order}", blocked: 404, stranger: 404, buyer: 403, seller: 200},
	"cancelOrder":   {id: "{order}", body: `{}`, blocked: 404, stranger: 404, buyer: 409, seller: 200},
	"reportProblem": {id: "{order}", body: `{}`, prep: (*matrix).ship, blocked: 404, stranger: 404, buyer: 200, seller: 409},
	"reviewOrder":   {id: "{order}", body: `{"rating":"good"}`, prep: (*matrix).ship, blocked: 404, stranger: 404, buyer: 200, seller: 200},
	"sendMessage":   {id: "{order}", body: `{"body":"hi"}`, blocked: 404, stranger: 404, buyer: 200, seller: 200},
	"getMessages":   {id: "{order}", blocked: 404, stranger: 404, buyer: 200, seller: 200},
	"requestPayout": all(409).with("", `{"amount":500}`), // nobody has any
	"getPayout":     {id: "{payout}", prep: (*matrix).payout, blocked: 404, stranger: 404, buyer: 404, seller: 200},
}

// matrix is a market with one of each kind of people around a trade.
type matrix struct {
	*trade
	bo, sue *client.Client // whom the seller has blocked, whom the operator has suspended
	ids     map[string]string
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{trade: newTrade(t, options{noQueue: true}), ids: map[string]string{}}
	ctx := t.Context()
	var bo, sue client.Me
	m.bo, bo = m.person("Bo")
	m.sue, sue = m.person("Sue")
	must(t, m.ken.Block(ctx, bo.ID))
	id, err := market.ParseUserID(sue.ID)
	must(t, err)
	_, err = m.store.SuspendUser(ctx, id)
	must(t, err)
	mal, err := m.mal.Me(ctx)
	must(t, err)
	item := m.bench.item(m.ken, "Table", 900)
	comment, err := m.eve.Comment(ctx, item.ID, "hi")
	must(t, err)
	news, err := m.ken.Notifications(ctx, "", 0)
	must(t, err)
	for name, id := range map[string]string{
		"item": item.ID, "comment": comment.ID, "order": m.order.ID, "ken": m.kenID, "mal": mal.ID, "news": news.Items[0].ID,
	} {
		m.ids["{"+name+"}"] = id
	}
	return m
}

func (m *matrix) ship() { must(m.t, errOf(m.ken.Ship(m.t.Context(), m.order.ID))) }

func (m *matrix) payout() {
	ctx := m.t.Context()
	m.ship()
	must(m.t, errOf(m.eve.ReviewOrder(ctx, m.order.ID, client.NewReview{Rating: client.Good})))
	must(m.t, errOf(m.ken.ReviewOrder(ctx, m.order.ID, client.NewReview{Rating: client.Good})))
	p, err := m.ken.RequestPayout(ctx, client.NewPayout{Amount: 500})
	must(m.t, err)
	m.ids["{payout}"] = p.ID
}

// fill puts ids in the place of their names.
func (m *matrix) fill(s string) string {
	for name, id := range m.ids {
		s = strings.ReplaceAll(s, name, id)
	}
	return s
}

// ask makes the request of a row.
func (m *matrix) ask(who *client.Client, method, path string, row access) *http.Response {
	m.t.Helper()
	for _, parameter := range []string{"{id}", "{user_id}", "{device_id}", "{file}"} {
		path = strings.ReplaceAll(path, parameter, row.id)
	}
	path = strings.ReplaceAll(path, "{comment_id}", "{comment}")
	var header []string
	if who != nil {
		header = append(header, "Authorization", "Bearer "+tokenOf(who))
	}
	if row.body != "" {
		header = append(header, "Content-Type", "application/json")
	}
	return m.do(strings.ToUpper(method), m.fill(path), m.fill(row.body), header...)
}

// TestAuthorization holds, for every operation of the document, what it answers
// to whom.
func TestAuthorization(t *testing.T) {
	seen := 0
	for path, item := range readDocument(t).Paths {
		for method, op := range item {
			row, ok := accessMatrix[op.OperationID]
			if !ok {
				t.Errorf("%s has no row: say whom it answers what", op.OperationID)
				continue
			}
			seen++
			t.Run(op.OperationID, func(t *testing.T) {
				m := newMatrix(t)
				if row.prep != nil {
					row.prep(m)
				}
				private := op.Security != nil
				if private == (row.everyone != 0) {
					t.Fatalf("needs a session: %v, the row says another thing", private)
				}
				for _, c := range []struct {
					name string
					who  *client.Client
					want int
				}{
					{"nobody", nil, 401}, {"a suspended one", m.sue, 403},
					{"a blocked one", m.bo, row.blocked}, {"a stranger", m.mal, row.stranger}, {"the buyer", m.eve, row.buyer}, {"the seller", m.ken, row.seller},
				} {
					if !private {
						c.want = row.everyone
					}
					res := m.ask(c.who, method, path, row)
					if got := body(t, res); res.StatusCode != c.want {
						t.Errorf("%s: %d, want %d: %s", c.name, res.StatusCode, c.want, got)
					}
				}
			})
		}
	}
	if seen != len(accessMatrix) {
		t.Errorf("%d operations, %d rows", seen, len(accessMatrix))
	}
}

// TestMassAssignment holds that no operation takes what is not its client's to
// say: a field that it does not know is refused by name.
func TestMassAssignment(t *testing.T) {
	m := newMatrix(t)
	fields := []string{"id", "seller_id", "state", "price", "role", "rating", "buyer_id", "owner", "version", "email", "fee", "created_at"}
	d := readDocument(t)
	asked := 0
	for path, item := range d.Paths {
		for method, op := range item {
			row := accessMatrix[op.OperationID]
			if op.RequestBody == nil || !strings.HasPrefix(row.body, "{") || op.OperationID == "addPhoto" {
				continue
			}
			known := propertiesOf(t, d, op)
			for _, field := range fields {
				if slices.Contains(known, field) {
					continue
				}
				asked++
				broken := row
				broken.body = strings.Replace(row.body, "{", fmt.Sprintf(`{"%s":"1",`, field), 1)
				broken.body = strings.Replace(broken.body, ",}", "}", 1)
				who := m.ken
				if row.buyer == 201 || row.buyer == 200 {
					who = m.eve
				}
				res := m.ask(who, method, path, broken)
				if got := body(t, res); res.StatusCode != 422 || !strings.Contains(got, field) {
					t.Errorf("%s with %s: %d %s", op.OperationID, field, res.StatusCode, got)
				}
			}
		}
	}
	if asked < 100 {
		t.Errorf("only %d requests", asked)
	}
}

// propertiesOf returns the fields of an operation's body.
func propertiesOf(t *testing.T, d document, op operation) (names []string) {
	t.Helper()
	content, _ := op.RequestBody["content"].(map[string]any)
	media, _ := content["application/json"].(map[string]any)
	schema, _ := media["schema"].(map[string]any)
	ref, _ := schema["$ref"].(string)
	properties, _ := d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]["properties"].(map[string]any)
	for name := range properties {
		names = append(names, name)
	}
	if len(names) == 0 {
		t.Errorf("%s has a body without fields", op.OperationID)
	}
	return names
}

// TestDatabaseHoldsNoSecrets reads every column of every table.
func TestDatabaseHoldsNoSecrets(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ctx := t.Context()
	reg := client.Registration{Email: "hana@example.com", Password: "canary-password-51", Name: "Hana"}
	s, err := b.client.Register(ctx, reg)
	must(t, err)
	hana := b.client.WithToken(s.Token)
	ken, _ := b.person("Ken")
	item := b.item(ken, "Chair", 900)
	must(t, errOf(hana.Buy(client.WithIdempotencyKey(ctx, "canary-key-52"), order(item, "tok_ok"))))
	must(t, hana.ChangePassword(ctx, client.NewPassword{Current: reg.Password, New: "canary-password-53"}))
	tables, err := b.db.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table'")
	must(t, err)
	var names []string
	for tables.Next() {
		var name string
		must(t, tables.Scan(&name))
		names = append(names, name)
	}
	must(t, tables.Close())
	rows := 0
	for _, name := range names {
		found, err := b.db.QueryContext(ctx, "SELECT * FROM "+name)
		must(t, err)
		columns, err := found.Columns()
		must(t, err)
		for found.Next() {
			rows++
			values, dest := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			must(t, found.Scan(dest...))
			for i, v := range values {
				text := fmt.Sprintf("%s", v)
				for _, secret := range []string{s.Token, tokenOf(ken), reg.Password, "canary-password-53", "canary-key-52", "tok_ok"} {
					if strings.Contains(text, secret) {
						t.Errorf("%s.%s holds %q", name, columns[i], secret)
					}
				}
			}
		}
		must(t, found.Close())
	}
	if len(names) < 15 || rows < 15 {
		t.Errorf("only %d rows in %d tables", rows, len(names))
	}
}
