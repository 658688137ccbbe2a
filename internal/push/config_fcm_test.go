package push

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pemOf encodes a private key as Google's files have it.
func pemOf(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestServiceAccount(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM := pemOf(t, key)
	file := filepath.Join(t.TempDir(), "account.json")
	write := func(change func(f map[string]any)) {
		t.Helper()
		f := map[string]any{
			"type": "service_account", "project_id": "my-project", "client_email": "secret@example.com",
			"private_key_id": "k1", "private_key": rsaPEM, "token_uri": "https://oauth2.googleapis.com/token", "universe_domain": "googleapis.com",
		}
		if change != nil {
			change(f)
		}
		raw, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set := func(name string, v any) func(map[string]any) {
		return func(f map[string]any) { f[name] = v }
	}
	cfg := FCMConfig{CredentialsFile: file}
	for name, c := range map[string]struct {
		change func(map[string]any)
		want   string // after the name of the file
	}{
		"fine":                        {nil, ""},
		"PKCS #1":                     {set("private_key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))), ""},
		"a project of a domain":       {set("project_id", "example.com:my-project"), ""},
		"no token_uri":                {set("token_uri", ""), ""},
		"token_uri of this machine":   {set("token_uri", "http://127.0.0.1:8080/token"), ""},
		"token_uri of localhost":      {set("token_uri", "http://localhost/token"), ""},
		"token_uri of loopback, IPv6": {set("token_uri", "http://[::1]:8080/token"), ""},

		"a user's":               {set("type", "authorized_user"), ` is not of a service account: its type must be "service_account"`},
		"a number":               {set("type", 7), " is not the JSON file of a service account"},
		"no project":             {set("project_id", ""), " has no project_id"},
		"no email":               {set("client_email", nil), " has no client_email"},
		"no key":                 {set("private_key", ""), " has no private_key"},
		"a path for a project":   {set("project_id", "../secret"), " has a project_id that is none"},
		"dots for a project":     {set("project_id", ".."), " has a project_id that is none"},
		"text for a key":         {set("private_key", "secret"), ": private_key is not PEM"},
		"an empty key":           {set("private_key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), ": private_key holds no private key"},
		"a key of Apple's":       {set("private_key", pemOf(t, curve)), ": private_key holds no RSA key, which is what Google issues"},
		"token_uri without TLS":  {set("token_uri", "http://oauth2.googleapis.com/token"), ": token_uri must be an https URL"},
		"token_uri with a user":  {set("token_uri", "https://secret:x@example.com/"), ": token_uri must be an https URL"},
		"token_uri that is none": {set("token_uri", "secret"), ": token_uri must be an https URL"},
		"token_uri of a file":    {set("token_uri", "file:///secret"), ": token_uri must be an https URL"},
	} {
		write(c.change)
		got := ""
		a, err := cfg.ServiceAccount()
		if err != nil {
			got = strings.TrimPrefix(err.Error(), file)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: the error tells what is in the file: %v", name, err)
			}
		} else if a.ProjectID == "" || a.ClientEmail == "" || a.TokenURI == "" || len(a.JSON) == 0 {
			t.Errorf("%s: %+v", name, a)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	write(func(f map[string]any) { delete(f, "token_uri") })
	a, err := cfg.ServiceAccount()
	if err != nil || a.TokenURI != "https://oauth2.googleapis.com/token" || a.PrivateKeyID != "k1" || a.ProjectID != "my-project" {
		t.Errorf("%+v, %v", a, err)
	}
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.ServiceAccount(); err == nil || err.Error() != file+" is not the JSON file of a service account" {
		t.Errorf("not JSON: %v", err)
	}
}

func TestFCMValidate(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "account.json")
	raw, err := json.Marshal(map[string]string{"type": "service_account", "project_id": "p", "client_email": "e", "private_key": pemOf(t, key)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	validate := func(c FCMConfig) map[string]string {
		got := make(map[string]string)
		c.validate(func(key, problem string) { got[key] = problem })
		return got
	}
	for _, c := range []FCMConfig{
		{}, {CredentialsFile: file}, {CredentialsFile: file, Quota: -1}, {CredentialsFile: file, Endpoint: "https://127.0.0.1:8443/"},
	} {
		if got := validate(c); len(got) > 0 {
			t.Errorf("%+v: %v", c, got)
		}
	}
	for endpoint, fine := range map[string]bool{
		"https://fcm.googleapis.com": true, "http://127.0.0.1": false, "https://": false, "https://:443": false, "https://h/v1": false, "https://u@h": false,
		"https://h?x": false, "https://h#x": false, "fcm.googleapis.com": false,
	} {
		if _, bad := validate(FCMConfig{CredentialsFile: file, Endpoint: endpoint})["endpoint"]; bad == fine {
			t.Errorf("endpoint %q: bad is %v", endpoint, bad)
		}
	}
	none := filepath.Join(dir, "none.json")
	want := map[string]string{
		"credentials_file": "cannot read " + none + ": no such file or directory",
		"ca_file":          file + " holds no PEM certificate",
		"endpoint":         "must be https://host or https://host:port",
		"connections":      "must be between 0 and 64",
		"max_in_flight":    "must not be negative",
		"timeout":          "must not be negative",
		"quota":            "must be -1, 0 or more",
	}
	if diff := cmp.Diff(want, validate(FCMConfig{CredentialsFile: none, CAFile: file, Endpoint: "http://google", Connections: 65, MaxInFlight: -1, Timeout: -1, Quota: -2})); diff != "" {
		t.Errorf("all at once (-want +got):\n%s", diff)
	}
	if got := validate(FCMConfig{Quota: 5}); got["credentials_file"] == "" {
		t.Errorf("without credentials: %v", got)
	}
}
