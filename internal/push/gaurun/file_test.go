package gaurun_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/youmark/pkcs8"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/gaurun"
)

// files are credential files for a configuration.
type files struct{ dir, cert, key, oldKey, newKey, p8, account string }

func makeFiles(t testing.TB) files {
	t.Helper()
	f := files{dir: t.TempDir()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := pkcs8.MarshalPrivateKey(key, []byte("hush"), nil)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 Gaurun's users have such keys
	old, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", ec, []byte("hush"), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) string {
		path := filepath.Join(f.dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f.cert = write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	f.key = write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ec}))
	f.oldKey = write("key-old.pem", pem.EncodeToMemory(old))
	f.newKey = write("key-new.pem", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sealed}))
	f.p8 = write("key.p8", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	f.account = write("account.json", []byte(`{"type":"service_account","project_id":"market","private_key_id":"k","client_email":"push@market.iam.gserviceaccount.com","token_uri":"https://127.0.0.1/token","private_key":`+
		quoteJSON(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rsaKey(t)})))+`}`))
	return f
}

func load(t *testing.T, text string) (gaurun.File, []gaurun.Warning, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gaurun.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return gaurun.Load(path)
}

func faultsOf(f gaurun.File) []string {
	var faults []string
	f.Validate(func(key, problem string) { faults = append(faults, key+": "+problem) })
	return faults
}

func TestFileDefaults(t *testing.T) {
	t.Parallel()
	f, warnings, err := load(t, "")
	if err != nil || warnings != nil {
		t.Fatal(warnings, err)
	}
	n := runtime.NumCPU()
	want := gaurun.File{
		Core:    gaurun.Core{Port: "1056", Workers: int64(n), Queues: 8192, NotificationMax: 100, ShutdownTimeout: 10},
		Android: gaurun.Android{Enabled: true, Timeout: 5, KeepAliveTimeout: 90, KeepAliveConns: n, RetryMax: 1},
		IOS:     gaurun.IOS{Enabled: true, Sandbox: true, Timeout: 5, KeepAliveTimeout: 90, KeepAliveConns: n, RetryMax: 1},
		Log:     gaurun.Log{AccessLog: "stdout", ErrorLog: "stderr", Level: "error"},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// every key of Gaurun 0.14, and some of its past
const everyKey = `
[core]
port = "unix:/run/gaurun.sock"
workers = 8
queues = 1024
notification_max = 50
pusher_max = 16
shutdown_timeout = 30
pid = "/run/gaurun.pid"
allows_empty_message = true
colour = "blue"

[api]
push_uri = "/send"
stat_app_uri = "/stat/app"

[android]
apikey = "AIza"
credentials_file = "sa.json"
enabled = true
timeout = 6
keepalive_timeout = 30
keepalive_conns = 4
retry_max = 2

[ios]
pem_cert_path = "cert.pem"
pem_key_path = "key.pem"
pem_key_passphrase = "hush"
token_auth_key_path = ""
token_auth_key_id = ""
token_auth_team_id = ""
sandbox = false
enabled = true
timeout = 7
timeout_error = 500
keepalive_max = 6
keepalive_idle_timeout = 300
keepalive_timeout = 30
keepalive_conns = 6
retry_max = 1
topic = "com.example.market"

[log]
access_log = "/var/log/access"
error_log = "discard"
level = "warn"

[other]
x = 1
`

func TestFileEveryKey(t *testing.T) {
	t.Parallel()
	f, warnings, err := load(t, everyKey)
	if err != nil {
		t.Fatal(err)
	}
	want := gaurun.File{
		Core:    gaurun.Core{Port: "unix:/run/gaurun.sock", Workers: 8, Queues: 1024, NotificationMax: 50, PusherMax: 16, ShutdownTimeout: 30, Pid: "/run/gaurun.pid", AllowsEmptyMessage: true},
		Android: gaurun.Android{Enabled: true, APIKey: "AIza", CredentialsFile: "sa.json", Timeout: 6, KeepAliveTimeout: 30, KeepAliveConns: 4, RetryMax: 2},
		IOS: gaurun.IOS{
			Enabled: true, PemCertPath: "cert.pem", PemKeyPath: "key.pem", PemKeyPassphrase: "hush", Timeout: 7,
			KeepAliveTimeout: 30, KeepAliveConns: 6, RetryMax: 1, Topic: "com.example.market",
		},
		Log: gaurun.Log{AccessLog: "/var/log/access", ErrorLog: "discard", Level: "warn"},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var keys []string
	for _, w := range warnings {
		keys = append(keys, w.Key)
	}
	if diff := cmp.Diff([]string{"core.colour", "api.push_uri", "api.stat_app_uri", "ios.timeout_error", "ios.keepalive_max", "ios.keepalive_idle_timeout", "other", "other.x", "android.apikey"}, keys); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}

	cfg := f.Config()
	wantApps := []push.AppConfig{{
		Name: "gaurun",
		APNS: push.APNSConfig{
			CertFile: "cert.pem", CertKeyFile: "key.pem", CertKeyPassphrase: "hush", Topic: "com.example.market",
			Endpoint: "https://api.push.apple.com", Timeout: 7 * time.Second, MaxInFlight: 128,
		},
		FCM: push.FCMConfig{CredentialsFile: "sa.json", Timeout: 6 * time.Second, MaxInFlight: 128},
	}}
	if diff := cmp.Diff(wantApps, cfg.Apps); diff != "" {
		t.Errorf("apps (-want +got):\n%s", diff)
	}
	if cfg.Listen != "unix:/run/gaurun.sock" || cfg.MaxBacklog != push.DefaultConfig().MaxBacklog || cfg.Gaurun.NotificationMax != 50 || !cfg.Gaurun.AllowsEmptyMessage {
		t.Errorf("config %+v", cfg)
	}
	if f.StopTimeout() != 35*time.Second {
		t.Errorf("stops within %v", f.StopTimeout())
	}
	o := f.Options(nil)
	if o.NotificationMax != 50 || !o.AllowsEmptyMessage || o.Workers != 8 || o.PusherMax != 16 || o.QueueMax != 1024 || o.App != "gaurun" || o.Strict {
		t.Errorf("options %+v", o)
	}
}

func TestFileMapping(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		get        func(gaurun.File) any
		want       any
	}{
		{"the default port is on all addresses", "", func(f gaurun.File) any { return f.Config().Listen }, ":1056"},
		{"the sandbox is the default", "[ios]\ntoken_auth_key_path=\"k\"\ntoken_auth_key_id=\"i\"\ntoken_auth_team_id=\"t\"", func(f gaurun.File) any { return f.Config().Apps[0].APNS },
			push.APNSConfig{KeyFile: "k", KeyID: "i", TeamID: "t", Endpoint: "https://api.sandbox.push.apple.com", Timeout: 5 * time.Second}},
		{"an endpoint wins", "[ios]\npem_cert_path=\"c\"\npem_key_path=\"k\"\nendpoint=\"https://127.0.0.1:2197\"\nca_file=\"ca\"", func(f gaurun.File) any { return f.Config().Apps[0].APNS },
			push.APNSConfig{CertFile: "c", CertKeyFile: "k", Endpoint: "https://127.0.0.1:2197", CAFile: "ca", Timeout: 5 * time.Second}},
		{"iOS disabled", "[ios]\nenabled=false\npem_cert_path=\"c\"\npem_key_path=\"k\"", func(f gaurun.File) any { return f.Config().Apps[0].APNS }, push.APNSConfig{}},
		{"Android disabled", "[android]\nenabled=false\ncredentials_file=\"c\"", func(f gaurun.File) any { return f.Config().Apps[0].FCM }, push.FCMConfig{}},
		{"pusher_max 0 is the gateway's own bound", "[core]\nworkers=8", func(f gaurun.File) any { return f.Config().Apps[0].FCM.MaxInFlight }, 0},
		{"pusher_max below 0, too", "[core]\npusher_max=-3", func(f gaurun.File) any { return f.Options(nil).PusherMax }, int64(0)},
		{"a store of its own", "[core]\nstore=\"sqlite:/var/x.db\"", func(f gaurun.File) any { return f.Config().Store }, "sqlite:/var/x.db"},
		{"the default store", "", func(f gaurun.File) any { return f.Config().Store }, "sqlite:data/push.db"},
		{"notification_max 0 lets nothing pass", "[core]\nnotification_max=0", func(f gaurun.File) any { return f.Options(nil).NotificationMax }, -1},
		{"level debug reads strictly", "[log]\nlevel=\"debug\"", func(f gaurun.File) any { return f.Options(nil).Strict }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _, err := load(t, c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, c.get(f)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"no TOML":          {"[core\nport=1", "line 2"},
		"a number as port": {"[core]\nport = 1056", "core.port"},
		"text as workers":  {"[core]\nworkers = \"8\"", "core.workers"},
		"text as sandbox":  {"[ios]\nsandbox = \"yes\"", "ios.sandbox"},
		"a table as level": {"[log.level]\nx = 1", "log.level"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "gaurun.toml") {
				t.Errorf("%v, want one line with the file and %q", err, c.want)
			}
		})
	}
	if _, _, err := gaurun.Load(filepath.Join(t.TempDir(), "none.toml")); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a missing file: %v", err)
	}
	if _, _, err := load(t, strings.Repeat("#", 2<<20)); err == nil {
		t.Error("a file of 2 MiB was read")
	}
}

// What Gaurun does not start with, furima does not either, and says where.
func TestFileFatal(t *testing.T) {
	t.Parallel()
	p := makeFiles(t)
	ios := "[ios]\ntoken_auth_key_path=\"" + p.p8 + "\"\ntoken_auth_key_id=\"ABC123DEFG\"\ntoken_auth_team_id=\"DEF123GHIJ\"\ntopic=\"com.example.market\"\n"
	noAndroid := "[android]\nenabled=false\n"
	for _, c := range []struct {
		name, text string
		keys       []string // of the faults, in any order; none: it is good
	}{
		{"token", ios + noAndroid, nil},
		{"certificate", "[ios]\npem_cert_path=\"" + p.cert + "\"\npem_key_path=\"" + p.key + "\"\n" + noAndroid, nil},
		{"certificate, old encryption", "[ios]\npem_cert_path=\"" + p.cert + "\"\npem_key_path=\"" + p.oldKey + "\"\npem_key_passphrase=\"hush\"\n" + noAndroid, nil},
		{"certificate, new encryption", "[ios]\npem_cert_path=\"" + p.cert + "\"\npem_key_path=\"" + p.newKey + "\"\npem_key_passphrase=\"hush\"\n" + noAndroid, nil},
		{"both platforms", ios + "[android]\ncredentials_file=\"" + p.account + "\"\n", nil},
		{"Android alone", "[ios]\nenabled=false\n[android]\ncredentials_file=\"" + p.account + "\"\n", nil},
		{"a certificate that is whole beside a token that is not", "[ios]\npem_cert_path=\"" + p.cert + "\"\npem_key_path=\"" + p.key + "\"\ntoken_auth_key_path=\"/nowhere\"\n" + noAndroid, nil},

		{"no platform", "[ios]\nenabled=false\n" + noAndroid, []string{"ios.enabled"}},
		{"an empty file", "", []string{"ios.token_auth_key_path", "android.credentials_file"}},
		{"an API key alone", ios + "[android]\napikey=\"AIza\"\n", []string{"android.apikey"}},
		{"certificate and token", ios + "pem_cert_path=\"" + p.cert + "\"\npem_key_path=\"" + p.key + "\"\n" + noAndroid, []string{"ios.token_auth_key_path"}},
		{"a certificate without a key", "[ios]\npem_cert_path=\"" + p.cert + "\"\n" + noAndroid, []string{"ios.pem_key_path"}},
		{"a token without ids", "[ios]\ntoken_auth_key_path=\"" + p.p8 + "\"\n" + noAndroid, []string{"ios.token_auth_key_id", "ios.token_auth_team_id"}},
		{"a token without a topic", strings.ReplaceAll(ios, "topic", "#topic") + noAndroid, []string{"ios.topic"}},
		{"no such key", strings.ReplaceAll(ios, p.p8, p.p8+".not") + noAndroid, []string{"ios.token_auth_key_path"}},
		{"a key that is none", strings.ReplaceAll(ios, p.p8, p.cert) + noAndroid, []string{"ios.token_auth_key_path"}},
		{"no such certificate", "[ios]\npem_cert_path=\"/nowhere\"\npem_key_path=\"" + p.key + "\"\n" + noAndroid, []string{"ios.pem_cert_path"}},
		{"no such certificate's key", "[ios]\npem_cert_path=\"" + p.cert + "\"\npem_key_path=\"/nowhere\"\n" + noAndroid, []string{"ios.pem_cert_path"}},
		{"a wrong passphrase, old", "[ios]\npem_cert_path=\"" + p.cert + "\"\npem_key_path=\"" + p.oldKey + "\"\npem_key_passphrase=\"loud\"\n" + noAndroid, []string{"ios.pem_cert_path"}},
		{"a wrong passphrase, new", "[ios]\npem_cert_path=\"" + p.cert + "\"\npem_key_path=\"" + p.newKey + "\"\npem_key_passphrase=\"loud\"\n" + noAndroid, []string{"ios.pem_cert_path"}},
		{"no passphrase", "[ios]\npem_cert_path=\"" + p.cert + "\"\npem_key_path=\"" + p.newKey + "\"\n" + noAndroid, []string{"ios.pem_cert_path"}},
		{"no such service account", ios + "[android]\ncredentials_file=\"/nowhere\"\n", []string{"android.credentials_file"}},
		{"no directory for the pid", ios + noAndroid + "[core]\npid=\"/nowhere/at/all/gaurun.pid\"\n", []string{"core.pid"}},
		{"a port that is none", ios + noAndroid + "[core]\nport=\"http\"\n", []string{"core.port"}},
		{"a port too high", ios + noAndroid + "[core]\nport=\"65536\"\n", []string{"core.port"}},
		{"no port", ios + noAndroid + "[core]\nport=\"\"\n", []string{"core.port"}},
		{"a relative socket", ios + noAndroid + "[core]\nport=\"unix:gaurun.sock\"\n", []string{"core.port"}},
		{"a level that is none", ios + noAndroid + "[log]\nlevel=\"loud\"\n", []string{"log.level"}},
		{"a store that is none", ios + noAndroid + "[core]\nstore=\"redis:x\"\n", []string{"core.store"}},
		{"an endpoint without TLS", ios + "endpoint=\"http://127.0.0.1\"\n" + noAndroid, []string{"ios.endpoint"}},
		{"times of years", ios + "timeout=99999999\n" + noAndroid + "timeout=-1\n[core]\nshutdown_timeout=9999999999999\n", []string{"ios.timeout", "android.timeout", "core.shutdown_timeout"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _, err := load(t, c.text)
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]bool)
			for _, fault := range faultsOf(f) {
				key, problem, _ := strings.Cut(fault, ": ")
				got[key] = true
				if strings.Contains(problem, "\n") || strings.Contains(problem, "hush") || strings.Contains(problem, "AIza") {
					t.Errorf("fault %q", fault)
				}
			}
			want := make(map[string]bool)
			for _, key := range c.keys {
				want[key] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s\n%s", diff, strings.Join(faultsOf(f), "\n"))
			}
		})
	}
}

func TestFileAPIKeySaysWhatToDo(t *testing.T) {
	t.Parallel()
	f, _, err := load(t, "[ios]\nenabled=false\n[android]\napikey=\"AIzaSecret\"")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(faultsOf(f), "\n")
	for _, want := range []string{"android.apikey: ", "ended in 2024", "service account", "android.credentials_file"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}

func TestRecognise(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"core":                         {"[core]\nport=\"1\"", true},
		"ios alone":                    {"[ios]\n", true},
		"android alone":                {"[android]\napikey=\"x\"", true},
		"dotted":                       {"core.port = \"1056\"", true},
		"log alone is furima's":        {"[log]\nlevel=\"error\"", false},
		"empty":                        {"", false},
		"furima.toml":                  {"[push]\nlisten=\"127.0.0.1:1\"\n[[push.apps]]\nname=\"x\"", false},
		"both":                         {"[push]\n[core]\n", false},
		"apps alone":                   {"[[push.apps]]\nname=\"x\"", false},
		"Gaurun's with a fault in it":  {"[core]\nport = 10 56\n[ios]\n", true},
		"furima's with a fault in it":  {"[push]\nlisten = oops\n[core]", false},
		"a comment is no table":        {"# [core]\n", false},
		"a table in a table is not it": {"[edge.core]\n", false},
	} {
		path := filepath.Join(t.TempDir(), "x.toml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := gaurun.Recognise(path); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if gaurun.Recognise(filepath.Join(t.TempDir(), "none")) || gaurun.Recognise(t.TempDir()) {
		t.Error("what cannot be read is recognised")
	}
}

// Whatever is in a file: no panic, and what is loaded can be mapped, checked and
// shown.
func FuzzFile(f *testing.F) {
	f.Add([]byte(everyKey))
	f.Add([]byte("[core]\nport=\"99999\"\npusher_max=9223372036854775807\nworkers=9223372036854775807\nqueues=-1\n[ios]\ntimeout=9223372036854775807"))
	f.Add([]byte("[core]\nport=\"unix:/\"\n[log]\nlevel=\"\"\naccess_log=\"\""))
	f.Add([]byte("[[core]]\n"))
	f.Add([]byte("core=1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "x.toml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		gaurun.Recognise(path)
		file, _, err := gaurun.Load(path)
		if err != nil {
			return
		}
		cfg := file.Config()
		if n := cfg.Apps[0].APNS.MaxInFlight; n < 0 {
			t.Errorf("%d at once", n)
		}
		if o := file.Options(nil); o.Workers < 1 || o.PusherMax < 0 {
			t.Errorf("options %+v", o)
		}
		file.Validate(func(key, problem string) {
			if key == "" || problem == "" || strings.Contains(key, "apps[") {
				t.Errorf("fault %q: %q", key, problem)
			}
		})
	})
}

func rsaKey(t testing.TB) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // text always encodes
	}
	return string(b)
}
