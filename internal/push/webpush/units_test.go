package webpush

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push"
)

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 8291, appendix A: the example with all of its intermediate values.
func TestEncryptionVector(t *testing.T) {
	t.Parallel()
	ours, err := ecdh.P256().NewPrivateKey(decode(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	to, err := parse(`{"endpoint":"https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV","keys":{
		"p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
		"auth":"BTBZMqHH6r4Tts7J_aSIgg"}}`, false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := seal([]byte("When I grow up, I want to be a watermelon"), to, ours, [saltBytes]byte(decode(t, "DGv6ra1nlYgDCS1FRnbzlw")))
	if err != nil {
		t.Fatal(err)
	}
	want := "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
	if diff := cmp.Diff(want, base64.RawURLEncoding.EncodeToString(got)); diff != "" {
		t.Errorf("the message (-want +got):\n%s", diff)
	}
}

func TestEncryptIsFreshAndBounded(t *testing.T) {
	t.Parallel()
	to, err := parse(subscribe(t, "https://push.example/x"), false)
	if err != nil {
		t.Fatal(err)
	}
	plain := make([]byte, maxPlainBytes)
	first, err := encrypt(plain, to)
	if err != nil {
		t.Fatal(err)
	}
	second, err := encrypt(plain, to)
	if err != nil {
		t.Fatal(err)
	}
	if maxPlainBytes != 3993 || len(first) != 4096 {
		t.Errorf("%d plain bytes make %d", maxPlainBytes, len(first))
	}
	if bytes.Equal(first[:saltBytes], second[:saltBytes]) || bytes.Equal(first[21:headerBytes], second[21:headerBytes]) {
		t.Error("two messages have the same salt or key")
	}
	if _, err := encrypt(make([]byte, maxPlainBytes+1), to); err == nil {
		t.Error("a message that is too long is encrypted")
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	good := subscribe(t, "https://fcm.googleapis.com/fcm/send/abc:def?x=1")
	at := func(endpoint string) string { return subscribe(t, endpoint) }
	swap := func(old, to string) string {
		s := strings.Replace(good, old, to, 1)
		if s == good {
			t.Fatalf("%s is not in the subscription", old)
		}
		return s
	}
	point := base64.RawURLEncoding.EncodeToString(append([]byte{4}, bytes.Repeat([]byte{1}, 64)...))
	key := good[strings.Index(good, `"p256dh":"`)+len(`"p256dh":"`):][:87]
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"a browser's":             {good, nil},
		"with padding":            {strings.ReplaceAll(strings.ReplaceAll(good, key, key+"="), `AA"}`, `AA=="}`), nil},
		"a member of later":       {swap(`{"endpoint"`, `{"options":{"x":[1]},"endpoint"`), nil},
		"port 443":                {at("https://push.example:443/x"), nil},
		"upper case":              {at("https://PUSH.Example/x"), nil},
		"a public address":        {at("https://93.184.216.34/x"), nil},
		"a public address, v6":    {at("https://[2606:4700::1111]/x"), nil},
		"empty":                   {"", errNoJSON},
		"no JSON":                 {"abc", errNoJSON},
		"a list":                  {"[]", errNoJSON},
		"something after it":      {good + "x", errNoJSON},
		"twice the same member":   {swap(`{"endpoint"`, `{"endpoint":"https://a.example","endpoint"`), errNoJSON},
		"null":                    {"null", errEndpoint},
		"other case of a member":  {swap("endpoint", "Endpoint"), errEndpoint},
		"endpoint is a number":    {`{"endpoint":1}`, errNoJSON},
		"http":                    {at("http://push.example/x"), errEndpoint},
		"no scheme":               {at("push.example/x"), errEndpoint},
		"no host":                 {at("https:///x"), errEndpoint},
		"opaque":                  {at("https:push.example"), errEndpoint},
		"user":                    {at("https://u:p@push.example/x"), errEndpoint},
		"fragment":                {at("https://push.example/x#y"), errEndpoint},
		"empty fragment":          {at("https://push.example/x#"), errEndpoint},
		"space":                   {at("https://push.example/x y"), errEndpoint},
		"newline":                 {at("https://push.example/x\ny"), errEndpoint},
		"not ASCII":               {at("https://push.example/é"), errEndpoint},
		"host not ASCII":          {at("https://pusé.example/"), errEndpoint},
		"percent in host":         {at("https://push%2eexample/"), errEndpoint},
		"dot at the end":          {at("https://push.example./x"), errEndpoint},
		"two dots":                {at("https://push..example/x"), errEndpoint},
		"decimal address":         {at("https://2130706433/x"), errEndpoint},
		"hexadecimal address":     {at("https://0x7f000001/x"), errEndpoint},
		"short address":           {at("https://127.1/x"), errEndpoint},
		"octal address":           {at("https://0177.0.0.1/x"), errEndpoint},
		"empty port":              {at("https://push.example:/x"), errEndpoint},
		"another port":            {at("https://push.example:8443/x"), errPort},
		"the port of ssh":         {at("https://push.example:22/x"), errPort},
		"loopback":                {at("https://127.0.0.1/x"), errPrivate},
		"loopback, v6":            {at("https://[::1]/x"), errPrivate},
		"loopback, mapped":        {at("https://[::ffff:127.0.0.1]/x"), errPrivate},
		"with a zone":             {at("https://[fe80::1%25eth0]/x"), errPrivate},
		"metadata of a cloud":     {at("https://169.254.169.254/latest"), errPrivate},
		"no keys":                 {`{"endpoint":"https://push.example/x"}`, errKey},
		"key too short":           {swap(key, key[:86]), errKey},
		"key too long":            {swap(key, key+"AAAA"), errKey},
		"key not base64url":       {swap(key, "+"+key[1:]), errKey},
		"key not on the curve":    {swap(key, point), errKey},
		"key compressed":          {swap(key, base64.RawURLEncoding.EncodeToString(append([]byte{2}, make([]byte, 32)...))), errKey},
		"key with trailing bits":  {swap(key, key[:86]+"_"), errKey},
		"key with a line feed":    {swap(key, key[:10]+`\n`+key[10:]), errKey},
		"auth too short":          {swap(`"auth":"A`, `"auth":"`), errAuth},
		"auth too long":           {swap(`"auth":"A`, `"auth":"AAA`), errAuth},
		"auth with wrong padding": {swap(`AA"}`, `AA="}`), errAuth},
		"no auth":                 {swap(`"auth"`, `"aut"`), errAuth},
	} {
		if _, err := parse(c.token, false); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for endpoint, want := range map[string]string{
		"https://PUSH.Example/x":       "https://push.example push.example:443 push.example",
		"https://push.example:443/x":   "https://push.example push.example:443 push.example",
		"https://127.0.0.1:8443/x":     "https://127.0.0.1:8443 127.0.0.1:8443 127.0.0.1:8443",
		"https://[0:0::1]/x":           "https://[::1] [::1]:443 [::1]",
		"https://[::1]:8443/x":         "https://[::1]:8443 [::1]:8443 [::1]:8443",
		"https://localhost:1/push/%2F": "https://localhost:1 localhost:1 localhost:1",
	} {
		s, err := parse(at(endpoint), true)
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
			continue
		}
		if got := s.origin + " " + s.addr + " " + s.url.Host; got != want {
			t.Errorf("%s: %s, want %s", endpoint, got, want)
		}
		if path := endpoint[strings.LastIndex(endpoint, "/"):]; !strings.HasSuffix(s.url.String(), path) {
			t.Errorf("%s: the path became %s", endpoint, s.url)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"endpoint":"https://push.example/x","keys":{"p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}`)
	f.Add(`{"endpoint":"https://[::ffff:10.0.0.1]:443/x","keys":{"p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4=","auth":"BTBZMqHH6r4Tts7J_aSIgg=="}}`)
	f.Add(`{"endpoint":"https://0x7f.1/","keys":null}`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, token string) {
		s, err := parse(token, false)
		if err != nil {
			if quoted := err.Error(); len(token) > 8 && strings.Contains(quoted, token) {
				t.Errorf("the error repeats the token: %s", quoted)
			}
			return
		}
		host, port, ok := strings.Cut(s.addr, ":443")
		if !ok || port != "" || s.origin != "https://"+host || s.url.Host != host || s.url.Scheme != "https" || s.url.User != nil {
			t.Errorf("%q: origin %q, connects to %q, asks %q", token, s.origin, s.addr, s.url)
		}
		if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && !push.IsPublic(ip) {
			t.Errorf("%q leads to %v", token, ip)
		}
		if len(s.key.Bytes()) != keyBytes {
			t.Errorf("%q has a key of %d bytes", token, len(s.key.Bytes()))
		}
		r, err := http.NewRequest(http.MethodPost, s.url.String(), nil)
		if err != nil || r.URL.Host != s.url.Host {
			t.Errorf("%q makes no request: %v", token, err)
		}
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		public bool
		list   string
	}{
		{true, "1.1.1.1 9.9.9.9 93.184.216.34 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.167.1.1 223.255.255.254"},
		{true, "2606:4700:4700::1111 2a00:1450:4001:81b::200a 64:ff9b::8.8.8.8 ::ffff:8.8.8.8"},
		{false, "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 127.0.0.1 127.8.8.8 169.254.169.254 172.16.0.1 172.31.255.255 192.168.0.1"},
		{false, "100.64.0.1 100.127.255.255 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1"},
		{false, "224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255"},
		{false, ":: ::1 ::7f00:1 fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 100::1 2001:db8::1 3fff::1 5f00::1"},
		{false, "2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2002:7f00:1:: 2002:808:808:: 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::8.8.8.8"},
		{false, "::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1"},
	} {
		for s := range strings.FieldsSeq(c.list) {
			if got := push.IsPublic(netip.MustParseAddr(s)); got != c.public {
				t.Errorf("%s: public %v, want %v", s, got, c.public)
			}
			if strings.Contains(s, "%") {
				continue
			}
			for _, port := range []string{"443", "80", "8443", "22"} {
				address := netip.MustParseAddr(s).String()
				if strings.Contains(address, ":") {
					address = "[" + address + "]"
				}
				err := control(t.Context(), "tcp4", address+":"+port, nil)
				if (err == nil) != (c.public && port == "443") {
					t.Errorf("connect to %s:%s: %v", address, port, err)
				}
			}
		}
	}
	if push.IsPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
	for _, bad := range []string{"", "localhost:443", "1.1.1.1", "1.1.1.1:https"} {
		if control(t.Context(), "tcp", bad, nil) == nil {
			t.Errorf("connect to %q", bad)
		}
	}
	for _, network := range []string{"udp", "unix", "ip4:icmp"} {
		if control(t.Context(), network, "1.1.1.1:443", nil) == nil {
			t.Errorf("connect over %q", network)
		}
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	s := openSender(t, keyed(t))
	three := 3
	at := time.Unix(1_800_000_000, 0)
	long := strings.Repeat("x", 40)
	for name, c := range map[string]struct {
		n       push.Notification
		header  string
		payload string
	}{
		"title and body": {
			push.Notification{Title: "売れました", Body: "Your <camera> & lens"},
			"ttl=2419200 urgency=high", `{"title":"売れました","body":"Your <camera> & lens"}`,
		},
		"everything": {
			push.Notification{
				Title: "t", Body: "b", Badge: &three, Sound: "s", Image: "https://market.example/1.jpg", Category: "ORDER", ThreadID: "or_1",
				Data: map[string]string{"url": "/orders/1", "a": "1"}, TTL: push.Duration(time.Hour), Priority: push.Normal, CollapseID: "or_1",
			},
			"furima-expires=1800003600 urgency=normal topic=or_1",
			`{"title":"t","body":"b","badge":3,"sound":"s","image":"https://market.example/1.jpg","category":"ORDER","thread_id":"or_1","collapse_id":"or_1","data":{"a":"1","url":"/orders/1"}}`,
		},
		"data alone, low":      {push.Notification{Data: map[string]string{"k": "v"}, Priority: push.Low}, "ttl=2419200 urgency=low", `{"data":{"k":"v"}}`},
		"a part of a second":   {push.Notification{Body: "b", TTL: 1}, "furima-expires=1800000001 urgency=high", `{"body":"b"}`},
		"more than four weeks": {push.Notification{Body: "b", TTL: push.Duration(30 * 24 * time.Hour)}, "ttl=2419200 urgency=high", `{"body":"b"}`},
		"a long collapse id": {
			push.Notification{Body: "b", CollapseID: long}, "ttl=2419200 urgency=high topic=" + topicOf(long), `{"body":"b","collapse_id":"` + long + `"}`,
		},
		"overrides": {
			push.Notification{
				Title: "not used", Priority: push.High, CollapseID: "or_1",
				WebPush: &push.WebPushOverride{Urgency: "very-low", Topic: "abc_-9", Payload: json.RawMessage(`["any", 1]`)},
			},
			"ttl=2419200 urgency=very-low topic=abc_-9", `["any", 1]`,
		},
		"a key beside its text": {push.Notification{Title: "t", TitleLocKey: "K"}, "ttl=2419200 urgency=high", `{"title":"t"}`},
	} {
		r, faults := s.Render(&c.n, at)
		if faults != nil {
			t.Errorf("%s: %v", name, faults)
			continue
		}
		var header []string
		for _, h := range r.Header {
			header = append(header, h.Name+"="+h.Value)
		}
		if diff := cmp.Diff(c.header, strings.Join(header, " ")); diff != "" {
			t.Errorf("%s: header (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.payload, string(r.Payload)); diff != "" {
			t.Errorf("%s: payload (-want +got):\n%s", name, diff)
		}
	}
	if a, b := topicOf(long), topicOf(long+"y"); a == b || len(a) != 32 || !isTopic(a) || topicOf("a b") == "a b" {
		t.Errorf("topics %q and %q", a, b)
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	s := openSender(t, keyed(t))
	body := func(n int) push.Notification {
		return push.Notification{Body: strings.Repeat("x", n-len(`{"body":""}`))}
	}
	with := func(o push.WebPushOverride) push.Notification { return push.Notification{Body: "b", WebPush: &o} }
	for name, c := range map[string]struct {
		n    push.Notification
		want string
	}{
		"3993 bytes":         {body(3993), ""},
		"3994 bytes":         {body(3994), "| makes a payload of 3994 bytes; Web Push takes 3993"},
		"nothing":            {push.Notification{Sound: "s"}, "| has nothing for a service worker: give title, body, badge, image, data or webpush.payload"},
		"a key without text": {push.Notification{BodyLocKey: "K"}, "/body_loc_key| is for Apple and Google: a browser needs the text itself"},
		"urgency":            {with(push.WebPushOverride{Urgency: "urgent"}), "/webpush/urgency| must be very-low, low, normal or high"},
		"topic":              {with(push.WebPushOverride{Topic: "a.b"}), "/webpush/topic| must be at most 32 characters of base64url"},
		"long topic":         {with(push.WebPushOverride{Topic: strings.Repeat("a", 33)}), "/webpush/topic| must be at most 32 characters of base64url"},
		"payload":            {with(push.WebPushOverride{Payload: json.RawMessage(`{`)}), "/webpush/payload| must be JSON"},
		"tokens": {
			push.Notification{Body: "b", Tokens: []string{subscribe(t, "https://push.example/1"), "abc", subscribe(t, "https://10.0.0.1/")}},
			"/tokens/1| must be the JSON text of a browser's PushSubscription; /tokens/2| must have an endpoint at a public address",
		},
	} {
		_, faults := s.Render(&c.n, time.Now())
		var got []string
		for _, f := range faults {
			got = append(got, f.Pointer+"| "+f.Message)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	many := push.Notification{Body: "b", Tokens: make([]string, 1000)}
	if _, faults := s.Render(&many, time.Now()); len(faults) != maxFaults {
		t.Errorf("%d faults for 1000 tokens", len(faults))
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		status     int
		retryAfter string
		want       push.Result
		effect     effect
	}{
		{200, "", push.Result{Outcome: push.Sent}, took},
		{201, "", push.Result{Outcome: push.Sent}, took},
		{202, "", push.Result{Outcome: push.Sent}, took},
		{301, "", push.Result{Outcome: push.Retry, Reason: "301 Moved Permanently"}, failed},
		{307, "", push.Result{Outcome: push.Retry, Reason: "307 Temporary Redirect"}, failed},
		{400, "", push.Result{Outcome: push.Rejected, Reason: "400 Bad Request"}, took},
		{401, "", push.Result{Outcome: push.Retry, Reason: "401 Unauthorized"}, refused},
		{403, "9", push.Result{Outcome: push.Retry, Reason: "403 Forbidden"}, refused},
		{404, "", push.Result{Outcome: push.Unregistered, Reason: "404 Not Found"}, took},
		{410, "", push.Result{Outcome: push.Unregistered, Reason: "410 Gone"}, took},
		{413, "", push.Result{Outcome: push.Rejected, Reason: "413 Request Entity Too Large"}, took},
		{429, "12", push.Result{Outcome: push.Retry, Reason: "429 Too Many Requests", After: 12 * time.Second}, failed},
		{429, "Wed, 02 Jan 2030 03:05:05 GMT", push.Result{Outcome: push.Retry, Reason: "429 Too Many Requests", After: time.Minute}, failed},
		{429, "Wed, 02 Jan 2030 03:00:00 GMT", push.Result{Outcome: push.Retry, Reason: "429 Too Many Requests"}, failed},
		{500, "", push.Result{Outcome: push.Retry, Reason: "500 Internal Server Error"}, failed},
		{503, "99999999", push.Result{Outcome: push.Retry, Reason: "503 Service Unavailable", After: time.Hour}, failed},
		{503, "-1", push.Result{Outcome: push.Retry, Reason: "503 Service Unavailable"}, failed},
		{503, "soon", push.Result{Outcome: push.Retry, Reason: "503 Service Unavailable"}, failed},
		{799, "", push.Result{Outcome: push.Retry, Reason: "HTTP 799"}, failed},
	} {
		got, e := answer(c.status, http.Header{"Retry-After": {c.retryAfter}}, now)
		if diff := cmp.Diff(c.want, got); diff != "" || e != c.effect {
			t.Errorf("%d %s: effect %v, want %v (-want +got):\n%s", c.status, c.retryAfter, e, c.effect, diff)
		}
	}
}

func TestVAPIDIsRenewed(t *testing.T) {
	t.Parallel()
	cfg := keyed(t)
	synctest.Test(t, func(t *testing.T) {
		key, err := cfg.VAPIDKey()
		if err != nil {
			t.Fatal(err)
		}
		ahead := time.Duration(0)
		s, err := newSigner(key, cfg.Subject, func() time.Time { return time.Now().Add(ahead) })
		if err != nil {
			t.Fatal(err)
		}
		var v vapid
		token := func() string {
			t.Helper()
			h, err := v.authorization(s, "https://push.example")
			if err != nil {
				t.Fatal(err)
			}
			return h[0]
		}
		first := token()
		raw, k, ok := strings.Cut(strings.TrimPrefix(first, "vapid t="), ", k=")
		if !ok || k != s.public {
			t.Fatalf("authorization %q", first)
		}
		var claims jwt.RegisteredClaims
		parsed, err := jwt.ParseWithClaims(raw, &claims, func(*jwt.Token) (any, error) { return &key.PublicKey, nil }, jwt.WithTimeFunc(time.Now))
		if err != nil || parsed.Method.Alg() != "ES256" {
			t.Fatalf("the token: %v", err)
		}
		if life := time.Until(claims.ExpiresAt.Time); claims.Audience[0] != "https://push.example" || claims.Subject != cfg.Subject || life > 24*time.Hour || life < 11*time.Hour {
			t.Errorf("claims %+v", claims)
		}
		time.Sleep(vapidLife/2 - time.Second) // the bubble's time
		if token() != first {
			t.Error("renewed before half of its life")
		}
		time.Sleep(2 * time.Second)
		second := token()
		if second == first {
			t.Error("not renewed after half of its life")
		}
		ahead = -time.Hour
		if token() == second {
			t.Error("not renewed when the clock was set back")
		}
	})
}

func TestTTLIsWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := &sender{now: func() time.Time { return time.Unix(1000, 999) }}
	for expires, want := range map[string]string{"1060": "60", "1000": "0", "900": "0", "x": "0"} {
		if got := s.ttl(expires); got != want {
			t.Errorf("expires %s at 1000: ttl %s, want %s", expires, got, want)
		}
	}
}

func TestOpenWithoutKey(t *testing.T) {
	t.Parallel()
	if s, err := NewProvider().Open(push.AppConfig{Name: "market"}, nil); s != nil || err != nil {
		t.Errorf("got %v, %v; want neither", s, err)
	}
	_, err := NewProvider().Open(push.AppConfig{Name: "market", WebPush: push.WebPushConfig{KeyFile: "/nowhere/vapid.key"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "app market") || !strings.Contains(err.Error(), "/nowhere/vapid.key") {
		t.Errorf("a missing key: %v", err)
	}
}

// The pauses of an origin, and what ends them.
func TestOriginLearns(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	tune := tuning{timeout: 10 * time.Second, stallAfter: 2 * time.Second, maxWindow: 20, maxStrangers: 4}
	fail := func(e effect, started time.Time) verdict {
		return verdict{effect: e, result: push.Result{Outcome: push.Retry, Reason: "503"}, started: started}
	}
	good := func(started time.Time) verdict {
		return verdict{effect: took, result: push.Result{Outcome: push.Sent}, started: started}
	}
	o := &origin{window: firstWindow}
	for i := range 100 {
		o.learn(good(now), now, tune)
		if want := min(firstWindow+i+1, 20); o.window != want {
			t.Fatalf("after %d answers the window is %d, want %d", i+1, o.window, want)
		}
	}
	for i := range maxFailures {
		if paused := o.learn(fail(failed, now), now, tune); paused != (i == maxFailures-1) {
			t.Fatalf("failure %d: pauses %v", i+1, paused)
		}
	}
	if wait := o.until.Sub(now); !o.suspect || o.proven || wait < minPause/2 || wait > minPause {
		t.Fatalf("paused for %v: %+v", wait, o)
	}
	if o.learn(fail(failed, now), now, tune) {
		t.Error("a failure of before makes the pause longer")
	}
	if n, r := o.admit(10, now, tune.stallAfter); n != 0 || r.Outcome != push.Retry || r.After < minPause || r.Reason != "503" {
		t.Errorf("during the pause: %d of 10, %+v", n, r)
	}
	longest := time.Duration(0)
	for range 10 {
		now = o.until
		if n, _ := o.admit(10, now, tune.stallAfter); n != 1 {
			t.Fatalf("after the pause: %d of 10", n)
		}
		if !o.learn(fail(failed, now.Add(1)), now.Add(2), tune) {
			t.Fatal("the attempt fails without a pause")
		}
		longest = max(longest, o.until.Sub(now))
	}
	if longest < maxPause/2 || longest > maxPause+time.Second {
		t.Errorf("the longest pause is %v", longest)
	}
	o.learn(good(now), now, tune)
	if n, _ := o.admit(10, now, tune.stallAfter); n != 10 || o.suspect || !o.proven || o.failures != 0 || o.pauses != 0 {
		t.Errorf("after an answer %d of 10: %+v", n, o)
	}
	if !o.learn(fail(nobody, now), now, tune) {
		t.Error("no connection, and no pause")
	}
	silent := &origin{window: 4, inFlight: 4, proven: true, moved: now}
	if n, _ := silent.admit(3, now.Add(tune.stallAfter), tune.stallAfter); n != 3 {
		t.Error("turned away too soon")
	}
	if n, r := silent.admit(3, now.Add(tune.stallAfter+1), tune.stallAfter); n != 0 || r.Reason != reasonSlow {
		t.Errorf("waits for a silent origin: %d, %+v", n, r)
	}
	told := &origin{window: 4}
	if !told.learn(verdict{effect: nobody, result: push.Result{After: 20 * time.Second}}, now, tune) || told.until.Sub(now) != 20*time.Second {
		t.Errorf("told to wait for 20 s: %v", told.until.Sub(now))
	}
}

func TestQueueTakesTurns(t *testing.T) {
	t.Parallel()
	a, b := &flight{}, &flight{}
	o := &origin{queue: []lot{{a, []int{0, 1, 2}}, {b, []int{7}}}}
	var got []string
	for len(o.queue) > 1 {
		f, i := o.take()
		got = append(got, fmt.Sprint(f == a, i))
	}
	if diff := cmp.Diff([]string{"true 0", "false 7"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	o.queue = append(o.queue, lot{b, []int{8, 9}})
	if diff := cmp.Diff([]int{1, 2}, o.withdraw(a)); diff != "" || len(o.queue) != 1 {
		t.Errorf("withdrawn (-want +got):\n%s", diff)
	}
}
