package push

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// slowly decodes without the scanner.
func slowly(raw []byte) (Request, bool) {
	req, p := decodeAny(raw)
	return req, p == nil
}

var bodies4Scan = []string{
	`{"notifications":[{"platform":"apns","tokens":["aa"],"title":"Sold!","body":"b","badge":1,"sound":"default","data":{"item":"it_1","t":"2"}}]}`,
	`{"app":"market","tokens":["aa","bb"],"platform":"fcm","title":"売れました","ttl":"1h30m","priority":"low","collapse_id":"c","category":"x","thread_id":"y"}`,
	" {\n\t\"notifications\" : [ { \"tokens\" : [ ] , \"ttl\" : 90 , \"badge\" : -5 } , { } ] }\r\n",
	`{"notifications":[]}`,
	`{"tokens":["{\"endpoint\":\"https://x/,]\"}","\u58f2\u308c \ud83d\ude00 \\ \/ \n"],"data":{"a\u0062":"\t"}}`,
	`{"tokens":["a"],"data":{},"title":""}`,
}

// What is read quickly is what is read slowly.
func TestScanBody(t *testing.T) {
	t.Parallel()
	for _, body := range bodies4Scan {
		got, ok := new(scanner).body(body)
		if !ok {
			t.Errorf("%s is not read", body)
		}
		want, valid := slowly([]byte(body))
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Request{})); diff != "" || !valid {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

// What is wrong, or rare, is left to who can say what it is.
func TestScanBodyLeavesTheRest(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `{}`, `[]`, `null`, `{"notifications":null}`, `{"notifications":[null]}`, `{"notifications":[{}]`, `{"notifications":[{}]} x`, `{"notifications":[{},]}`,
		`{"notifications":[],"notifications":[]}`, `{"notifications":[],"title":""}`, `{"app":"a","app":"b","tokens":["x"]}`, `{"app":"a"}`,
		`{"title":"no tokens"}`, `{"tokens":["a"],"tokens":["b"]}`, `{"tokens":["a"],"badge":null}`, `{"tokens":["a"],"badge":01}`, `{"tokens":["a"],"badge":-}`,
		`{"tokens":["a"],"badge":1.5}`, `{"tokens":["a"],"badge":1e3}`, `{"tokens":["a"],"badge":12345678901}`, `{"tokens":["a"],"ttl":"soon"}`, `{"tokens":["a"],"ttl":1.5}`,
		`{"tokens":["a"],"data":{"k":1}}`, `{"tokens":["a"],"data":{"k":"1","k":"2"}}`, `{"tokens":["a"],"apns":{}}`, `{"tokens":["a"],"Title":"t"}`, `{"tokens":"a"}`, `{"tokens":["a" "b"]}`,
		"{\"tokens\":[\"\xff\"]}", "{\"tokens\":[\"a\nb\"]}", `{"tokens":["\ud800"]}`, `{"tokens":["\x"]}`, `{"tokens":["a`, `{"tokens":["a\"`, `{"tokens":["a\\`,
	} {
		if req, ok := new(scanner).body(body); ok {
			t.Errorf("%s is read: %+v", body, req)
		}
	}
}

func FuzzScanBody(f *testing.F) {
	for _, body := range bodies4Scan {
		f.Add([]byte(body))
	}
	f.Add([]byte(`{"tokens":["a"],"badge":0,"ttl":-1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, ok := new(scanner).body(string(raw))
		if !ok {
			return
		}
		want, valid := slowly(raw)
		if !valid {
			t.Fatalf("%q is read, and wrong", raw)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Request{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", raw, diff)
		}
	})
}

// Memory that is used again gives nothing of one request to the next.
func TestScanBodyAgain(t *testing.T) {
	t.Parallel()
	var sc scanner
	for range 2 {
		for _, body := range bodies4Scan {
			got, ok := sc.body(body)
			want, _ := slowly([]byte(body))
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(Request{})); diff != "" || !ok {
				t.Errorf("%s (-want +got):\n%s", body, diff)
			}
			if _, ok := sc.body(`{"notifications":[{"tokens":["x"],"title":"y"},{"broken":`); ok {
				t.Error("something broken is read")
			}
			sc.reset()
		}
	}
}

func BenchmarkDecodeBody(b *testing.B) {
	one := `{"platform":"apns","tokens":["` + strings.Repeat("0", 64) + `"],"title":"Sold!","body":"Your film camera has been sold. Please send it within three days.","badge":1,"sound":"default","data":{"item":"it_1234567890"}}`
	body := []byte(`{"notifications":[` + strings.TrimSuffix(strings.Repeat(one+",", 100), ",") + `]}`)
	var sc scanner
	again := func(body []byte) (Request, bool) {
		sc.reset()
		return sc.body(string(body))
	}
	for name, decode := range map[string]func([]byte) (Request, bool){"quick": again, "any": slowly} {
		b.Run(fmt.Sprintf("%s/100", name), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, ok := decode(body); !ok {
					b.Fatal("not read")
				}
			}
		})
	}
}
