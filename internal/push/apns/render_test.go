package apns

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push"
)

// rendered is a notification as it goes to Apple: its headers, then its payload.
func rendered(t *testing.T, s *sender, n push.Notification) string {
	t.Helper()
	r, faults := s.Render(&n, time.Unix(1_800_000_000, 0))
	if faults != nil {
		return fmt.Sprint(faults)
	}
	var b strings.Builder
	for _, h := range r.Header {
		fmt.Fprintf(&b, "%s=%s ", strings.TrimPrefix(h.Name, "apns-"), h.Value)
	}
	b.Write(r.Payload)
	if !json.Valid(r.Payload) {
		t.Errorf("%s is not JSON", r.Payload)
	}
	return b.String()
}

func withToken() *sender {
	return &sender{topic: "com.example.market", tokens: &tokenSource{}}
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

const update = `{"event":"update","timestamp":1800000000,"content-state":{"bid":1200}}`

func TestPayloadOfEveryPushType(t *testing.T) {
	t.Parallel()
	of := func(kind string) *push.APNSOverride { return &push.APNSOverride{PushType: kind} }
	tested := make(map[string]bool)
	for _, c := range []struct {
		n    push.Notification
		want string
	}{
		{
			push.Notification{Title: "Sold!", APNS: of("alert")},
			`topic=com.example.market push-type=alert priority=10 {"aps":{"alert":{"title":"Sold!"}}}`,
		}, {
			push.Notification{Priority: push.Low, Data: map[string]string{"k": "v"}, APNS: of("background")},
			`topic=com.example.market push-type=background priority=5 {"aps":{"content-available":1},"k":"v"}`,
		}, {
			push.Notification{Data: map[string]string{"k": "v"}, APNS: of("complication")},
			`topic=com.example.market.complication push-type=complication priority=10 {"k":"v"}`,
		}, {
			push.Notification{Priority: push.Low, APNS: of("controls")},
			`topic=com.example.market.push-type.controls push-type=controls priority=5 {"aps":{"content-changed":true}}`,
		}, {
			push.Notification{Data: map[string]string{"container-identifier": "root", "domain": "d"}, APNS: of("fileprovider")},
			`topic=com.example.market.pushkit.fileprovider push-type=fileprovider priority=10 {"container-identifier":"root","domain":"d"}`,
		}, {
			push.Notification{TTL: push.Duration(time.Minute), APNS: &push.APNSOverride{PushType: "liveactivity", APS: raw(update), RelevanceScore: 75}},
			`topic=com.example.market.push-type.liveactivity push-type=liveactivity priority=10 expiration=1800000060 {"aps":{"content-state":{"bid":1200},"event":"update","relevance-score":75,"timestamp":1800000000}}`,
		}, {
			push.Notification{Priority: push.Low, Title: "Ended", APNS: &push.APNSOverride{PushType: "liveactivity", APS: raw(`{"event":"end","timestamp":1800000000,"content-state":{},"dismissal-date":1800003600}`)}},
			`topic=com.example.market.push-type.liveactivity push-type=liveactivity priority=5 {"aps":{"alert":{"title":"Ended"},"content-state":{},"dismissal-date":1800003600,"event":"end","timestamp":1800000000}}`,
		}, {
			push.Notification{Title: "Auction", Body: "It begins", APNS: &push.APNSOverride{PushType: "liveactivity", APS: raw(`{"event":"start","timestamp":1800000000,"content-state":{"bid":1.50},"attributes-type":"Auction","attributes":{"item":"it_1"},"input-push-token":1,"alert":{"sound":"bell.caf"}}`)}},
			`topic=com.example.market.push-type.liveactivity push-type=liveactivity priority=10 {"aps":{"alert":{"body":"It begins","sound":"bell.caf","title":"Auction"},"attributes":{"item":"it_1"},"attributes-type":"Auction","content-state":{"bid":1.50},"event":"start","input-push-token":1,"timestamp":1800000000}}`,
		}, {
			push.Notification{APNS: of("location")},
			`topic=com.example.market.location-query push-type=location priority=10 {"aps":{}}`,
		}, {
			push.Notification{Data: map[string]string{"mdm": "magic"}, APNS: &push.APNSOverride{PushType: "mdm", Topic: "com.apple.mgmt.External.x"}},
			`topic=com.apple.mgmt.External.x push-type=mdm priority=10 {"mdm":"magic"}`,
		}, {
			push.Notification{Data: map[string]string{"speaker": "us_1"}, APNS: of("pushtotalk")},
			`topic=com.example.market.voip-ptt push-type=pushtotalk priority=10 {"speaker":"us_1"}`,
		}, {
			push.Notification{Data: map[string]string{"call": "1"}, APNS: of("voip")},
			`topic=com.example.market.voip push-type=voip priority=10 {"call":"1"}`,
		}, {
			push.Notification{Priority: push.Normal, APNS: of("widgets")},
			`topic=com.example.market.push-type.widgets push-type=widgets priority=5 {"aps":{"content-changed":true}}`,
		},
	} {
		tested[c.n.APNS.PushType] = true
		if diff := cmp.Diff(c.want, rendered(t, withToken(), c.n)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.n.APNS.PushType, diff)
		}
	}
	for kind := range pushKinds {
		if !tested[kind] {
			t.Errorf("%s is not tested", kind)
		}
	}
}

func TestPayloadOfAlerts(t *testing.T) {
	t.Parallel()
	const header = `topic=com.example.market push-type=alert priority=10 `
	three := 3
	for name, c := range map[string]struct {
		n    push.Notification
		want string
	}{
		"keys instead of texts": {
			push.Notification{Title: "no", TitleLocKey: "SOLD", TitleLocArgs: []string{"camera"}, Body: "no", BodyLocKey: "SOLD_BODY", BodyLocArgs: []string{"A", "B"}},
			`{"aps":{"alert":{"title-loc-key":"SOLD","title-loc-args":["camera"],"loc-key":"SOLD_BODY","loc-args":["A","B"]}}}`,
		},
		"a key and a text":    {push.Notification{Title: "Sold!", BodyLocKey: "SOLD_BODY"}, `{"aps":{"alert":{"title":"Sold!","loc-key":"SOLD_BODY"}}}`},
		"an image":            {push.Notification{Body: "b", Image: "https://example.com/c.jpg"}, `{"aps":{"alert":{"body":"b"},"mutable-content":1},"image":"https://example.com/c.jpg"}`},
		"a critical sound":    {push.Notification{Body: "b", Sound: "default", APNS: &push.APNSOverride{APS: raw(`{"sound":{"critical":1,"name":"siren.caf","volume":0.8}}`)}}, `{"aps":{"alert":{"body":"b"},"sound":{"critical":1,"name":"siren.caf","volume":0.8}}}`},
		"members over ours":   {push.Notification{Body: "b", Badge: &three, ThreadID: "a", APNS: &push.APNSOverride{APS: raw(`{"badge":null,"thread-id":"b","target-content-id":"x","new-of-apple":[1,2]}`)}}, `{"aps":{"alert":{"body":"b"},"new-of-apple":[1,2],"target-content-id":"x","thread-id":"b"}}`},
		"an alert of text":    {push.Notification{Title: "no", APNS: &push.APNSOverride{APS: raw(`{"alert":"hello"}`)}}, `{"aps":{"alert":"hello"}}`},
		"deep in the alert":   {push.Notification{Title: "t", APNS: &push.APNSOverride{APS: raw(`{"alert":{"launch-image":"l","title":null,"body":"b"}}`)}}, `{"aps":{"alert":{"body":"b","launch-image":"l"}}}`},
		"a number as it is":   {push.Notification{Body: "b", APNS: &push.APNSOverride{APS: raw(`{"id":12345678901234567890}`)}}, `{"aps":{"alert":{"body":"b"},"id":12345678901234567890}}`},
		"markup as it is":     {push.Notification{Body: "b", APNS: &push.APNSOverride{APS: raw(`{"category":"<&>"}`)}}, `{"aps":{"alert":{"body":"b"},"category":"<&>"}}`},
		"only by apns.aps":    {push.Notification{APNS: &push.APNSOverride{APS: raw(`{"badge":0}`)}}, `{"aps":{"badge":0}}`},
		"content and an aps":  {push.Notification{APNS: &push.APNSOverride{ContentAvailable: true, APS: raw(`{"alert":"x"}`)}}, `{"aps":{"alert":"x","content-available":1}}`},
		"an interruption":     {push.Notification{Body: "b", APNS: &push.APNSOverride{APS: raw(`{"interruption-level":"passive"}`)}}, `{"aps":{"alert":{"body":"b"},"interruption-level":"passive"}}`},
		"payload as it comes": {push.Notification{APNS: &push.APNSOverride{Payload: raw(`{ "aps" : {} }`)}}, `{ "aps" : {} }`},
	} {
		if diff := cmp.Diff(header+c.want, rendered(t, withToken(), c.n)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRenderBroadcast(t *testing.T) {
	t.Parallel()
	n := push.Notification{APNS: &push.APNSOverride{ChannelID: "AAAA", APS: raw(update)}}
	const payload = `{"aps":{"content-state":{"bid":1200},"event":"update","timestamp":1800000000}}`
	for name, c := range map[string]struct {
		change func(*push.Notification)
		want   string
	}{
		"as it is":                  {func(*push.Notification) {}, `topic=com.example.market push-type=liveactivity priority=10 expiration=0 ` + payload},
		"with a ttl":                {func(n *push.Notification) { n.TTL = push.Duration(time.Hour) }, `topic=com.example.market push-type=liveactivity priority=10 expiration=1800003600 ` + payload},
		"low":                       {func(n *push.Notification) { n.Priority = push.Low }, `topic=com.example.market push-type=liveactivity priority=5 expiration=0 ` + payload},
		"a topic that has a suffix": {func(n *push.Notification) { n.APNS.Topic = "com.example.other.push-type.liveactivity" }, `topic=com.example.other push-type=liveactivity priority=10 expiration=0 ` + payload},
		"another push type":         {func(n *push.Notification) { n.APNS.PushType = "alert" }, `[{/apns/push_type must be liveactivity for a channel}]`},
		"a collapse id":             {func(n *push.Notification) { n.CollapseID = "x" }, `[{/collapse_id cannot be used with a channel}]`},
		"a start": {
			func(n *push.Notification) {
				n.APNS.APS = raw(`{"event":"start","timestamp":1,"content-state":{},"attributes-type":"A","attributes":{}}`)
			},
			`[{/apns/aps/event must be update or end for a channel}]`,
		},
	} {
		m := n
		o := *n.APNS
		m.APNS = &o
		c.change(&m)
		if diff := cmp.Diff(c.want, rendered(t, withToken(), m)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := rendered(t, &sender{}, n); !strings.Contains(got, "/apns/topic") {
		t.Errorf("without a topic: %s", got)
	}
}

func TestRenderRefusesWhatAppleWouldNotTake(t *testing.T) {
	t.Parallel()
	alert := func(aps string) push.Notification {
		return push.Notification{Body: "b", APNS: &push.APNSOverride{APS: raw(aps)}}
	}
	of := func(kind string) push.Notification {
		return push.Notification{APNS: &push.APNSOverride{PushType: kind}}
	}
	activity := func(aps string) push.Notification {
		return push.Notification{APNS: &push.APNSOverride{PushType: "liveactivity", APS: raw(aps)}}
	}
	with := func(n push.Notification, change func(*push.Notification)) push.Notification {
		change(&n)
		return n
	}
	large := func(n int, kind string) push.Notification {
		return push.Notification{Data: map[string]string{"x": strings.Repeat("y", n-len(`{"x":""}`))}, APNS: &push.APNSOverride{PushType: kind}}
	}
	for name, c := range map[string]struct {
		n        push.Notification
		pointers string // of the faults
	}{
		"aps is no object":           {alert(`[1]`), "/apns/aps"},
		"aps is null":                {alert(`null`), "/apns/aps"},
		"aps and payload":            {with(alert(`{}`), func(n *push.Notification) { n.APNS.Payload = raw(`{}`) }), "/apns/aps"},
		"aps takes all away":         {alert(`{"alert":null}`), ""},
		"badge of text":              {alert(`{"badge":"3"}`), "/apns/aps/badge"},
		"badge of a half":            {alert(`{"badge":0.5}`), "/apns/aps/badge"},
		"sound of a number":          {alert(`{"sound":1}`), "/apns/aps/sound"},
		"sound too loud":             {alert(`{"sound":{"critical":1,"volume":11}}`), "/apns/aps/sound"},
		"sound half critical":        {alert(`{"sound":{"critical":0.5}}`), "/apns/aps/sound"},
		"alert of a list":            {alert(`{"alert":[]}`), "/apns/aps/alert"},
		"available of text":          {alert(`{"content-available":"1"}`), "/apns/aps/content-available"},
		"unknown interruption":       {alert(`{"interruption-level":"loud"}`), "/apns/aps/interruption-level"},
		"args without a key":         {push.Notification{Body: "b", BodyLocArgs: []string{"x"}}, "/body_loc_args"},
		"title args without a key":   {push.Notification{Body: "b", TitleLocArgs: []string{"x"}}, "/title_loc_args"},
		"image in data":              {push.Notification{Body: "b", Image: "https://x", Data: map[string]string{"image": "y"}}, "/data/image"},
		"activity without aps":       {of("liveactivity"), "/apns/aps"},
		"activity without anything":  {activity(`{}`), "/apns/aps/event /apns/aps/timestamp /apns/aps/content-state"},
		"activity of another event":  {activity(`{"event":"stop","timestamp":1,"content-state":{}}`), "/apns/aps/event"},
		"activity in milliseconds":   {activity(`{"event":"update","timestamp":1800000000000,"content-state":{}}`), "/apns/aps/timestamp"},
		"activity of text":           {activity(`{"event":"update","timestamp":"1800000000","content-state":{}}`), "/apns/aps/timestamp"},
		"activity's state of text":   {activity(`{"event":"update","timestamp":1,"content-state":"x"}`), "/apns/aps/content-state"},
		"activity dismissed by text": {activity(`{"event":"end","timestamp":1,"content-state":{},"dismissal-date":"now"}`), "/apns/aps/dismissal-date"},
		"start without attributes":   {activity(`{"event":"start","timestamp":1,"content-state":{}}`), "/apns/aps/attributes-type /apns/aps/attributes"},
		"both inputs":                {activity(`{"event":"start","timestamp":1,"content-state":{},"attributes-type":"A","attributes":{},"input-push-token":1,"input-push-channel":"c"}`), "/apns/aps/input-push-channel"},
		"mdm without its member":     {of("mdm"), "/data/mdm"},
		"fileprovider without its":   {of("fileprovider"), "/data/container-identifier"},
		"voip of 5,120 bytes":        {large(5120, "voip"), "-"},
		"voip of 5,121 bytes":        {large(5121, "voip"), ""},
		"pushtotalk of 4,097 bytes":  {large(4097, "pushtotalk"), ""},
		"broadcast of 5,121 bytes":   {push.Notification{APNS: &push.APNSOverride{ChannelID: "AAAA", Payload: raw(`{"x":"` + strings.Repeat("y", 5121-8) + `"}`)}}, ""},
		"broadcast of 5,120 bytes":   {push.Notification{APNS: &push.APNSOverride{ChannelID: "AAAA", Payload: raw(`{"x":"` + strings.Repeat("y", 5120-8) + `"}`)}}, "-"},
	} {
		_, faults := withToken().Render(&c.n, time.Now())
		if c.pointers == "-" {
			if faults != nil {
				t.Errorf("%s: %v", name, faults)
			}
			continue
		}
		var got []string
		for _, f := range faults {
			got = append(got, f.Pointer)
		}
		if len(faults) == 0 || strings.Join(got, " ") != c.pointers {
			t.Errorf("%s: faults %v, want at %q", name, faults, c.pointers)
		}
	}
	if _, faults := (&sender{topic: "com.example.market"}).Render(&push.Notification{APNS: &push.APNSOverride{PushType: "location"}}, time.Now()); len(faults) != 1 || faults[0].Pointer != "/apns/push_type" {
		t.Errorf("location with a certificate: %v", faults)
	}
}

func FuzzRenderAPS(f *testing.F) {
	f.Add([]byte(`{"alert":{"title":null},"sound":{"critical":1}}`), "alert", "title")
	f.Add([]byte(update), "liveactivity", "")
	f.Add([]byte(`{"alert":{"a":{"b":{"c":null}}}}`), "background", "x")
	f.Add([]byte(`[]`), "voip", "")
	f.Fuzz(func(t *testing.T, aps []byte, kind, title string) {
		r, faults := withToken().Render(&push.Notification{Title: title, APNS: &push.APNSOverride{PushType: kind, APS: aps}}, time.Now())
		if faults == nil && (!isObject(r.Payload) || len(r.Payload) > largePayloadLimit) {
			t.Errorf("payload %q", r.Payload)
		}
	})
}
