package warm

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		name      string
		templates []string
		want      []string
	}{
		{"plain", []string{"http://h/items"}, []string{"http://h/items"}},
		{"list", []string{"http://h/i?s={new,price}"}, []string{"http://h/i?s=new", "http://h/i?s=price"}},
		{"empty entry", []string{"http://h/i{,?s=new}"}, []string{"http://h/i", "http://h/i?s=new"}},
		{"range", []string{"http://h/{1..3}"}, []string{"http://h/1", "http://h/2", "http://h/3"}},
		{"range of one", []string{"http://h/{7..7}"}, []string{"http://h/7"}},
		{"step", []string{"http://h/{1..10..4}"}, []string{"http://h/1", "http://h/5", "http://h/9"}},
		{"down", []string{"http://h/{3..1}"}, []string{"http://h/3", "http://h/2", "http://h/1"}},
		{"down with either sign of step", []string{"http://h/{5..1..2}", "http://h/{5..1..-2}"},
			[]string{"http://h/5", "http://h/3", "http://h/1", "http://h/5", "http://h/3", "http://h/1"}},
		{"negative", []string{"http://h/{-1..1}"}, []string{"http://h/-1", "http://h/0", "http://h/1"}},
		{"padded", []string{"http://h/{08..10}"}, []string{"http://h/08", "http://h/09", "http://h/10"}},
		{"padded by the last", []string{"http://h/{9..010}"}, []string{"http://h/009", "http://h/010"}},
		{"padded negative", []string{"http://h/{-01..1}"}, []string{"http://h/-01", "http://h/000", "http://h/001"}},
		{"mixture", []string{"http://h/{1..2,all,5..6}"}, []string{"http://h/1", "http://h/2", "http://h/all", "http://h/5", "http://h/6"}},
		{"rightmost fastest", []string{"http://h/{a,b}/{1..2}"}, []string{"http://h/a/1", "http://h/a/2", "http://h/b/1", "http://h/b/2"}},
		{"several templates", []string{"http://h/{a,b}", "http://h/c"}, []string{"http://h/a", "http://h/b", "http://h/c"}},
		{"host", []string{"http://{a,b}.example:81/x"}, []string{"http://a.example:81/x", "http://b.example:81/x"}},
		{"escapes", []string{`http://h/\{a\,b\}/{x\,y,\}\\\{,\1..3}`}, []string{"http://h/%7Ba,b%7D/x,y", "http://h/%7Ba,b%7D/%7D%5C%7B", "http://h/%7Ba,b%7D/1..3"}},
		{"escaped hash", []string{`http://h/\#{a\#,b}`}, []string{"http://h/%23a%23", "http://h/%23b"}},
		{"encoding", []string{"http://h/s?q={時計,a b,100%,%41,\"<>^`|}"},
			[]string{"http://h/s?q=%E6%99%82%E8%A8%88", "http://h/s?q=a%20b", "http://h/s?q=100%25", "http://h/s?q=%41", "http://h/s?q=%22%3C%3E%5E%60%7C"}},
		{"texts with dots are texts", []string{"http://h/{../x,v1..,..}"}, nil},
		{"unix socket", []string{"http+unix://%2Frun%2Fx.sock/{a,b}"}, []string{"http+unix://%2Frun%2Fx.sock/a", "http+unix://%2Frun%2Fx.sock/b"}},
		{"IPv6", []string{"http://[::1]:80/{1..1}?f[a]=1"}, []string{"http://[::1]:80/1?f[a]=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewPlan(tt.templates...)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Collect(p.All())
			if tt.want != nil {
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
			if p.Count() != int64(len(got)) {
				t.Errorf("Count is %d, there are %d", p.Count(), len(got))
			}
			for i, u := range got {
				if again := p.URL(int64(i)); again != u {
					t.Errorf("URL(%d) is %q, All gave %q", i, again, u)
				}
			}
		})
	}
}

func TestPlanErrors(t *testing.T) {
	for _, tt := range []struct {
		template string
		pos      int
		has      string
	}{
		{"", 0, "empty"},
		{"h/items", 1, "must begin with http"},
		{"ftp://h/", 1, "must begin with http"},
		{"http:///x", 1, "not host"},
		{"http://h:0/", 1, `port "0"`},
		{"http://h:99999/", 1, "port"},
		{"http://h:x/", 1, "not host"},
		{"http://user:hunter2@h/", 1, "user information"},
		{"http://時計/", 1, "host"},
		{"http+unix://run.sock/x", 1, "absolute path"},
		{"http://h/{a,b", 10, "never closed"},
		{"http://h/{", 10, "never closed"},
		{"http://h/a}b", 11, "closes nothing"},
		{"http://h/{a,{b,c}}", 13, "inside braces"},
		{"http://h/{}", 10, "empty braces"},
		{"http://h/{name}", 10, "{name} is neither a list"},
		{"http://h/{a..e}", 10, "whole numbers"},
		{"http://h/{1..x}", 11, `"x" is not a whole number`},
		{"http://h/{1..}", 11, "not a whole number"},
		{"http://h/{1..5..0}", 11, "step is 0"},
		{"http://h/{a,1..y}", 13, `"y" is not a whole number`},
		{"http://h/{1..+5}", 11, "not a whole number"},
		{"http://h/{0..99999999999999999}", 11, "too large"},
		{"http://h/{1..1000000}{1..1000000}{1..2}", 34, "more than 1000000000000"},
		{"http://h/\x01", 10, "control character"},
		{"http://h/時\x7f", 11, "control character"},
		{"http://h/\xff", 10, "not UTF-8"},
		{`http://h/\`, 10, "backslash"},
		{"http://h/x#frag", 11, "fragment"},
		{"http://h/{a,b#c}", 14, "fragment"},
		{"http://h/" + strings.Repeat("a", maxTemplateBytes), 0, "longer than"},
	} {
		_, err := NewPlan(tt.template)
		var se *SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%q: error %v, want a *SyntaxError", tt.template, err)
			continue
		}
		if se.Pos != tt.pos || !strings.Contains(se.Problem, tt.has) {
			t.Errorf("%.40q: position %d %q, want position %d and %q", tt.template, se.Pos, se.Problem, tt.pos, tt.has)
		}
		if strings.Contains(err.Error(), "hunter2") || strings.ContainsAny(err.Error(), "\n\r\x01") {
			t.Errorf("%q: error %q", tt.template, err)
		}
	}
	if _, err := NewPlan("http://h/a", "http://h/{"); err == nil || !strings.HasPrefix(err.Error(), "template 2: position 10: ") {
		t.Errorf("second of two: %v", err)
	}
	if _, err := NewPlan(); err == nil {
		t.Error("no template is no error")
	}
	big := "http://h/{1..1000000000}{1..1000}"
	if _, err := NewPlan(big, big); err == nil {
		t.Error("templates that are too many together are no error")
	}
}

func TestParameters(t *testing.T) {
	target := TargetConfig{
		URL:        "http://h/c/{category}/items?sort={sort}&back=/c/{category}&p={1..2}",
		Parameters: map[string][]string{"category": {"1..2", "a&b /%"}, "sort": {"new"}},
	}
	p, err := target.Plan()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"http://h/c/1/items?sort=new&back=/c/1&p=1",
		"http://h/c/1/items?sort=new&back=/c/1&p=2",
		"http://h/c/2/items?sort=new&back=/c/2&p=1",
		"http://h/c/2/items?sort=new&back=/c/2&p=2",
		"http://h/c/a%26b%20%2F%25/items?sort=new&back=/c/a%26b%20%2F%25&p=1",
		"http://h/c/a%26b%20%2F%25/items?sort=new&back=/c/a%26b%20%2F%25&p=2",
	}
	if diff := cmp.Diff(want, slices.Collect(p.All())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for has, target := range map[string]TargetConfig{
		`parameter "sort" is not used`:  {URL: "http://h/{c}", Parameters: map[string][]string{"c": {"1"}, "sort": {"new"}}},
		`parameter "c" has no values`:   {URL: "http://h/{c}", Parameters: map[string][]string{"c": {}}},
		`parameter "c": range {1..x}`:   {URL: "http://h/{c}", Parameters: map[string][]string{"c": {"1..x"}}},
		"nor a parameter":               {URL: "http://h/{d}", Parameters: map[string][]string{"c": {"1"}}},
		`parameter "c": not UTF-8`:      {URL: "http://h/{c}", Parameters: map[string][]string{"c": {"\xff"}}},
		"neither a list {a,b} nor a ra": {URL: "http://h/{d}"},
	} {
		if _, err := target.Plan(); err == nil || !strings.Contains(err.Error(), has) {
			t.Errorf("error %v, want %q", err, has)
		}
	}
}

// TestMillionCombinations holds that a large plan costs nothing: neither its
// count nor its combinations are stored.
func TestMillionCombinations(t *testing.T) {
	const template = "http://h/items?category={1..10000}&sort={new,price}&page={1..50}"
	if allocs := testing.AllocsPerRun(5, func() {
		if _, err := NewPlan(template); err != nil {
			t.Fatal(err)
		}
	}); allocs > 100 {
		t.Errorf("making the plan takes %v allocations", allocs)
	}
	p, err := NewPlan(template)
	if err != nil {
		t.Fatal(err)
	}
	if p.Count() != 1_000_000 {
		t.Fatalf("count is %d", p.Count())
	}
	if got, want := p.URL(999_999), "http://h/items?category=10000&sort=price&page=50"; got != want {
		t.Errorf("last is %q, want %q", got, want)
	}
	var u urlMaker
	i := int64(0)
	if allocs := testing.AllocsPerRun(1000, func() {
		if _, _, err := u.make(p, i); err != nil {
			t.Fatal(err)
		}
		i += 997
	}); allocs != 0 {
		t.Errorf("a combination takes %v allocations", allocs)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"http://h/items?category={1..300}&sort={new,price}&page={1..5}",
		"https://[::1]:8443/{01..10..3,a\\,b,\\}}", "http+unix://%2Frun%2Fx.sock/{,a}", "http://{a,b}:{80,81}/x%4", `http://h/\#{時計,-5..5}`,
		"http://h/{a..b}", "http://h/{name}?x={name}", "http://u:p@h/",
	} {
		f.Add(s, "1..3")
	}
	f.Fuzz(func(t *testing.T, s, value string) {
		for _, params := range []map[string][]string{nil, {"name": {value, "x"}}} {
			tmpl, err := parseTemplate(s, params)
			if err != nil {
				if strings.ContainsAny(err.Error(), "\r\n") {
					t.Errorf("error of two lines: %q", err)
				}
				continue
			}
			p, err := planOf(tmpl)
			if err != nil {
				t.Fatal(err)
			}
			if p.Count() < 1 || p.Count() > maxCombinations {
				t.Fatalf("count %d", p.Count())
			}
			var u urlMaker
			for _, i := range []int64{0, p.Count() / 2, p.Count() - 1} {
				got := p.URL(i)
				for k := range len(got) {
					if c := got[k]; c <= ' ' || c >= 0x7f || strings.IndexByte("{}\\\"<>^`|#", c) >= 0 {
						t.Fatalf("combination %d %q holds %q", i, got, c)
					}
				}
				o, target, err := u.make(p, i)
				if i == 0 && err != nil {
					t.Fatalf("first combination: %v", err)
				}
				if err == nil && (o.addr == "" || len(target) > len(got)) {
					t.Fatalf("origin %+v target %q", o, target)
				}
			}
			seen := map[string]bool{}
			if p.Count() <= 1000 {
				n := int64(0)
				for u := range p.All() {
					seen[u] = true
					n++
				}
				if n != p.Count() {
					t.Fatalf("%d combinations, count %d", n, p.Count())
				}
			}
		}
	})
}
