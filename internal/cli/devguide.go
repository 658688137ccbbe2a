package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/seed"
)

// devGuide is what furima dev prints when it is up: what to open, and lines to
// try that work as they are.
type devGuide struct {
	api, https, push, ops string // URLs
	caFile                string
}

func (g devGuide) print(ctx context.Context, p *program) {
	out := p.env.Stdout
	fmt.Fprintf(out, `
furima is up.

  phones       %s/phones/     what the sandbox phones receive, live
  operator     %s/            requests, cache, jobs, pushes, live
  API          %s/docs
`, g.ops, g.ops, g.api)
	if g.https != "" {
		fmt.Fprintf(out, "  nginx        %s        curl --cacert %s %s/v1/catalog\n", g.https, g.caFile, g.https)
	} else {
		fmt.Fprintln(out, "  nginx        is not installed: apt-get install nginx puts HTTPS in front")
	}
	fmt.Fprintf(out, "  push         %s\n", g.push)
	token, item, err := g.buyer(ctx)
	if err != nil {
		fmt.Fprintf(p.env.Stderr, "furima: nothing to try: %s\n", oneLine(err))
		return
	}
	me := seed.Accounts()[0]
	fmt.Fprintf(out, `
Try, as %s (password %s):

  curl '%s/v1/items?limit=3'
  curl -X PUT %s/v1/items/%s/like -H 'Authorization: Bearer %s'
  curl %s/v1/orders -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{"item_id":"%s","expected_price":%d,"payment_token":"tok_ok"}'

The last line buys “%s”: watch the seller's phone. Ctrl-C stops everything and keeps the data.
`, me.Email, seed.Password, g.api, g.api, item.ID, token, g.api, token, item.ID, item.Price, item.Title)
}

// buyer logs the first sample person in and finds something that they can buy.
func (g devGuide) buyer(ctx context.Context) (token string, item client.Item, err error) {
	c := client.New(client.Options{BaseURL: g.api})
	defer c.CloseIdleConnections()
	me := seed.Accounts()[0]
	session, err := c.LogIn(ctx, client.Credentials{Email: me.Email, Password: seed.Password})
	if err != nil {
		return "", client.Item{}, err
	}
	for listed, err := range c.AllItems(ctx, client.ItemQuery{Sort: client.SortNew}) {
		if err != nil {
			return "", client.Item{}, err
		}
		item, err := c.Item(ctx, listed.ID)
		if err != nil {
			return "", client.Item{}, err
		}
		if item.State == client.OnSale && item.Seller.ID != session.User.ID {
			return session.Token, item, nil
		}
	}
	return "", client.Item{}, errors.New("no item is on sale")
}

// hostOf returns the host:port of a URL, or unix:/path as it is.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return text
	}
	return u.Host
}
