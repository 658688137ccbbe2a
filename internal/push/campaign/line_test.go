package campaign_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push/campaign"
)

func TestLines(t *testing.T) {
	sale := client.Notification{Platform: client.APNS, Title: "Sale", Body: "50 % off", Data: map[string]string{"page": "sale", "v": "1"}}
	tests := map[string]struct {
		line   string
		text   client.Notification
		app    string
		format campaign.Format

		want    client.Notification
		wantApp string
		fault   string
	}{
		"a token with the text": {line: `{"token":"aa"}`, text: sale,
			want: client.Notification{Platform: client.APNS, Tokens: []string{"aa"}, Title: "Sale", Body: "50 % off", Data: sale.Data}},
		"a token of another platform": {line: ` {"platform":"fcm","token":"aa"} ` + "\r\n", text: sale,
			want: client.Notification{Platform: client.FCM, Tokens: []string{"aa"}, Title: "Sale", Body: "50 % off", Data: sale.Data}},
		"own fields go over the text": {line: `{"token":"aa","title":"Hanako, a sale","data":{"v":"2"},"badge":0,"ttl":"1h"}`, text: sale,
			want: client.Notification{Platform: client.APNS, Tokens: []string{"aa"}, Title: "Hanako, a sale", Body: "50 % off", Badge: new(int),
				Data: map[string]string{"page": "sale", "v": "2"}, TTL: client.Duration(time.Hour)}},
		"a whole notification": {line: `{"tokens":["aa","bb"],"platform":"webpush","body":"Sold!","app":"market","webpush":{"urgency":"low"}}`, wantApp: "market",
			want: client.Notification{Platform: client.WebPush, Tokens: []string{"aa", "bb"}, Body: "Sold!", WebPush: &client.WebPushOverride{Urgency: "low"}}},
		"a topic": {line: `{"platform":"fcm","body":"b","fcm":{"topic":"news"}}`,
			want: client.Notification{Platform: client.FCM, Body: "b", FCM: &client.FCMOverride{Topic: "news"}}},
		"a channel": {line: `{"platform":"apns","body":"b","apns":{"channel_id":"x"}}`,
			want: client.Notification{Platform: client.APNS, Body: "b", APNS: &client.APNSOverride{ChannelID: "x"}}},
		"a mark at the beginning": {line: "\ufeff" + `{"token":"aa","platform":"fcm"}`, want: client.Notification{Platform: client.FCM, Tokens: []string{"aa"}}},
		"the app of the campaign": {line: `{"token":"aa","platform":"fcm","app":"shop"}`, app: "shop", wantApp: "shop", want: client.Notification{Platform: client.FCM, Tokens: []string{"aa"}}},
		"a bare token":            {line: "aa\n", text: sale, format: campaign.Tokens, want: client.Notification{Platform: client.APNS, Tokens: []string{"aa"}, Title: "Sale", Body: "50 % off", Data: sale.Data}},

		"a bare token with spaces": {line: "a secret", text: sale, format: campaign.Tokens, fault: "token is not printable ASCII without spaces"},
		"JSON for a token":         {line: `{"token":"aa"}`, text: sale, format: campaign.Tokens, fault: "is JSON, and lines are to be tokens"},
		"not JSON":                 {line: `hello`, fault: "is not JSON from byte 0 on"},
		"a list":                   {line: `["aa"]`, fault: "is not a JSON object"},
		"null":                     {line: `null`, fault: "has no platform: apns, fcm or webpush"},
		"cut off":                  {line: `{"token":"aa`, fault: "is not whole: the JSON is cut off"},
		"two objects":              {line: `{"token":"aa","platform":"fcm"}{}`, fault: "is not JSON from byte 31 on"},
		"an unknown field":         {line: `{"token":"aa","platfrom":"fcm"}`, fault: "platfrom is not a known field"},
		"a wrong type":             {line: `{"token":1}`, fault: "token is of the wrong type"},
		"a wrong duration":         {line: `{"token":"aa","ttl":"soon"}`, fault: `ttl must be a duration, as "90s", or a number of seconds`},
		"a wrong time":             {line: `{"token":"aa","send_at":"tomorrow"}`, fault: "send_at must be a time, as 2026-01-31T09:00:00Z"},
		"a field twice":            {line: `{"token":"aa","token":"bb"}`, fault: "token is given twice"},
		"token and tokens":         {line: `{"token":"aa","tokens":["bb"],"platform":"fcm"}`, fault: "token and tokens exclude each other"},
		"no platform":              {line: `{"token":"aa"}`, fault: "has no platform: apns, fcm or webpush"},
		"a wrong platform":         {line: `{"token":"aa","platform":"ios"}`, fault: "platform must be apns, fcm or webpush"},
		"a wrong platform, own":    {line: `{"token":"aa","platform":"ios","title":"x"}`, fault: "platform must be apns, fcm or webpush"},
		"no token":                 {line: `{"platform":"fcm"}`, fault: "has no token"},
		"an empty token":           {line: `{"platform":"fcm","tokens":[""]}`, fault: "token is empty"},
		"an empty token of many":   {line: `{"platform":"fcm","tokens":["aa",""]}`, fault: "tokens/1 is empty"},
		"a long token":             {line: `{"platform":"fcm","token":"` + strings.Repeat("a", 4097) + `"}`, fault: "token has more than 4096 bytes"},
		"a topic with tokens":      {line: `{"token":"aa","platform":"fcm","fcm":{"topic":"news"}}`, fault: "has tokens and a topic, a condition or a channel: these exclude each other"},
		"another app":              {line: `{"token":"aa","platform":"fcm","app":"shop"}`, app: "market", fault: "app is not the one that the campaign is for"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, app, err := campaign.ParseLine([]byte(tt.line), campaign.Options{Text: tt.text, App: tt.app, Format: tt.format})
			switch {
			case tt.fault != "":
				if err == nil || err.Error() != tt.fault {
					t.Errorf("got %v, want %s", err, tt.fault)
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if app != tt.wantApp {
				t.Errorf("app %q, want %q", app, tt.wantApp)
			}
		})
	}
	if want := map[string]string{"page": "sale", "v": "1"}; !cmp.Equal(sale.Data, want) {
		t.Errorf("a line has changed the text: %v", sale.Data)
	}
}

// FuzzLine holds that no line breaks anything, that what is wrong is told
// without repeating it, and that what comes out is what the gateway reads back.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{
		`{"token":"aa","platform":"fcm"}`, `{"tokens":["aa","bb"],"platform":"apns","title":"x","data":{"a":"b"},"ttl":60}`,
		`{"token":"aa","apns":{"aps":{"x":1}}}`, `{"platform":"fcm","fcm":{"condition":"'a' in topics"}}`,
		`{`, ``, `null`, `[]`, `"x"`, `{"token":"\ud800"}`, "\ufeff{}", `{"token":"SECRETSECRET","x":"SECRETSECRET"}`,
	} {
		f.Add([]byte(seed))
	}
	o := campaign.Options{Text: client.Notification{Platform: client.APNS, Title: "Sale", Data: map[string]string{"k": "v"}}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, _, err := campaign.ParseLine(raw, o)
		if err != nil {
			if len(err.Error()) > 200+len(raw) {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
			return
		}
		if len(o.Text.Data) != 1 {
			t.Fatalf("the text was changed: %v", o.Text)
		}
		if n.Platform == "" {
			t.Errorf("no platform: %+v", n)
		}
		for _, tok := range n.Tokens {
			if tok == "" || len(tok) > 4096 || bytes.ContainsAny([]byte(tok), " \n\x00") {
				t.Errorf("token %q", tok)
			}
		}
	})
}
