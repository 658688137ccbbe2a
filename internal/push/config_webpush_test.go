package push

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func webPushFaults(c WebPushConfig) map[string]string {
	got := make(map[string]string)
	c.validate(func(key, problem string) { got[key] = problem })
	return got
}

func writeFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVAPIDKeyForms(t *testing.T) {
	t.Parallel()
	made, public, err := NewVAPIDKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := WebPushConfig{KeyFile: writeFile(t, made)}.VAPIDKey()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := VAPIDPublicKey(key); err != nil || again != public {
		t.Errorf("the public key is %s and was %s: %v", again, public, err)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(public); err != nil || len(raw) != 65 || raw[0] != 4 {
		t.Errorf("the public key %q is no uncompressed point", public)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sec1PEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}})
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384DER, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		fault   string
	}{
		"PKCS #8":              {made, ""},
		"SEC 1":                {sec1PEM, ""},
		"SEC 1 of openssl":     {append(parameters, sec1PEM...), ""},
		"empty":                {nil, "holds no private key in PEM"},
		"no PEM":               {[]byte("secret"), "holds no private key in PEM"},
		"another curve":        {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p384DER}), "holds no P-256 key, which is what VAPID is for"},
		"broken":               {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}), "holds a private key that is neither PKCS #8 nor SEC 1"},
		"a certificate's, not": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sec1}), "holds no private key in PEM"},
	} {
		path := writeFile(t, c.content)
		got, err := WebPushConfig{KeyFile: path}.VAPIDKey()
		switch {
		case c.fault == "" && (err != nil || !got.Equal(key)):
			t.Errorf("%s: %v", name, err)
		case c.fault != "" && (err == nil || err.Error() != path+" "+c.fault):
			t.Errorf("%s: %v, want %s", name, err, c.fault)
		}
	}
}

func TestWebPushFaults(t *testing.T) {
	t.Parallel()
	made, _, err := NewVAPIDKey()
	if err != nil {
		t.Fatal(err)
	}
	good := WebPushConfig{KeyFile: writeFile(t, made), Subject: "mailto:push@market.example"}
	with := func(change func(*WebPushConfig)) WebPushConfig {
		c := good
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		c    WebPushConfig
		keys string
	}{
		"nothing":          {WebPushConfig{}, ""},
		"good":             {good, ""},
		"everything":       {with(func(c *WebPushConfig) { c.AllowPrivate, c.MaxInFlight, c.Timeout = true, 10_000, time.Second }), ""},
		"without a key":    {WebPushConfig{Subject: "mailto:a@b.example"}, "key_file"},
		"missing file":     {with(func(c *WebPushConfig) { c.KeyFile = "/nowhere/vapid.key" }), "key_file"},
		"no subject":       {with(func(c *WebPushConfig) { c.Subject = "" }), "subject"},
		"all at once":      {WebPushConfig{KeyFile: "/nowhere", CAFile: "/nowhere", MaxInFlight: -1, Timeout: -1}, "ca_file key_file max_in_flight subject timeout"},
		"CA without PEM":   {with(func(c *WebPushConfig) { c.CAFile = writeFile(t, []byte("x")) }), "ca_file"},
		"too much at once": {with(func(c *WebPushConfig) { c.MaxInFlight = 10_001 }), "max_in_flight"},
	} {
		got := webPushFaults(c.c)
		var keys []string
		for _, k := range []string{"ca_file", "key_file", "max_in_flight", "subject", "timeout"} {
			if problem, there := got[k]; there {
				keys = append(keys, k)
				if strings.ContainsAny(problem, "\n") || strings.HasSuffix(problem, ".") {
					t.Errorf("%s: %s: %q", name, k, problem)
				}
			}
		}
		if diff := cmp.Diff(c.keys, strings.Join(keys, " ")); diff != "" || len(keys) != len(got) {
			t.Errorf("%s: %v (-want +got):\n%s", name, got, diff)
		}
	}
	for subject, fine := range map[string]bool{
		"mailto:push@market.example": true, "https://market.example": true, "https://market.example/contact?x=1": true,
		"push@market.example": false, "mailto:": false, "mailto:push": false, "mailto:A <a@b.example>": false, "mailto: a@b.example": false,
		"http://market.example": false, "https://": false, "https://a b.example": false, "https://market.example/é": false,
	} {
		if _, bad := webPushFaults(with(func(c *WebPushConfig) { c.Subject = subject }))["subject"]; bad == fine {
			t.Errorf("subject %q: fault %v", subject, bad)
		}
	}
	if d := (WebPushConfig{}).WithDefaults(); d.MaxInFlight != 500 || d.Timeout != 10*time.Second {
		t.Errorf("defaults %+v", d)
	}
}
