package gaurun

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/furima/furima/internal/push"
)

// AppName is the name of the one app that a Gaurun file configures.
const AppName = "gaurun"

// File is a Gaurun configuration file, with its keys and its defaults, and a few
// keys that it does not have, marked as furima's: Gaurun ignores them, so that
// one file serves both.
type File struct {
	Core    Core    `toml:"core"`
	Android Android `toml:"android"`
	IOS     IOS     `toml:"ios"`
	Log     Log     `toml:"log"`
}

// Core is the table [core].
type Core struct {
	Port               string `toml:"port"`    // a port on all addresses, or unix:/path
	Workers            int64  `toml:"workers"` // pusher_max is for each of them
	Queues             int64  `toml:"queues"`  // shown by /stat/app
	NotificationMax    int64  `toml:"notification_max"`
	PusherMax          int64  `toml:"pusher_max"`
	ShutdownTimeout    int64  `toml:"shutdown_timeout"` // seconds
	Pid                string `toml:"pid"`
	AllowsEmptyMessage bool   `toml:"allows_empty_message"`
	Store              string `toml:"store,omitempty"` // furima's: push.store
}

// Android is the table [android].
type Android struct {
	Enabled          bool   `toml:"enabled"`
	APIKey           string `toml:"apikey"`  // of an API that ended in 2024
	Timeout          int    `toml:"timeout"` // seconds
	KeepAliveTimeout int    `toml:"keepalive_timeout"`
	KeepAliveConns   int    `toml:"keepalive_conns"`
	RetryMax         int    `toml:"retry_max"`
	CredentialsFile  string `toml:"credentials_file,omitempty"` // furima's: a service account
	Endpoint         string `toml:"endpoint,omitempty"`         // furima's
	CAFile           string `toml:"ca_file,omitempty"`          // furima's
}

// IOS is the table [ios].
type IOS struct {
	Enabled          bool   `toml:"enabled"`
	PemCertPath      string `toml:"pem_cert_path"`
	PemKeyPath       string `toml:"pem_key_path"`
	PemKeyPassphrase string `toml:"pem_key_passphrase"`
	TokenAuthKeyPath string `toml:"token_auth_key_path"`
	TokenAuthKeyID   string `toml:"token_auth_key_id"`
	TokenAuthTeamID  string `toml:"token_auth_team_id"`
	Sandbox          bool   `toml:"sandbox"`
	RetryMax         int    `toml:"retry_max"`
	Timeout          int    `toml:"timeout"` // seconds
	KeepAliveTimeout int    `toml:"keepalive_timeout"`
	KeepAliveConns   int    `toml:"keepalive_conns"`
	Topic            string `toml:"topic"`
	Endpoint         string `toml:"endpoint,omitempty"` // furima's; wins over sandbox
	CAFile           string `toml:"ca_file,omitempty"`  // furima's
}

// Log is the table [log].
type Log struct {
	AccessLog string `toml:"access_log"`
	ErrorLog  string `toml:"error_log"`
	Level     string `toml:"level"`
}

// DefaultFile returns what an empty Gaurun file means.
func DefaultFile() File {
	n := runtime.NumCPU()
	return File{
		Core:    Core{Port: "1056", Workers: int64(n), Queues: 8192, NotificationMax: 100, ShutdownTimeout: 10},
		Android: Android{Enabled: true, Timeout: 5, KeepAliveTimeout: 90, KeepAliveConns: n, RetryMax: 1},
		IOS:     IOS{Enabled: true, Sandbox: true, Timeout: 5, KeepAliveTimeout: 90, KeepAliveConns: n, RetryMax: 1},
		Log:     Log{AccessLog: stdout, ErrorLog: stderr, Level: "error"},
	}
}

// Warning is something in a file that has no effect, or one to know about.
type Warning struct{ Key, Problem string }

func (w Warning) String() string { return w.Key + ": " + w.Problem }

// removed are keys that older versions of Gaurun had.
var removed = map[string]string{
	"api":                        "Gaurun has fixed paths since 2016-08",
	"ios.timeout_error":          "Gaurun has not had it since Apple's binary protocol went in 2016-04",
	"ios.keepalive_max":          "Gaurun has not had it since Apple's binary protocol went in 2016-04",
	"ios.keepalive_idle_timeout": "Gaurun has not had it since Apple's binary protocol went in 2016-04",
}

// maxFileBytes bounds a configuration file: a larger one is surely a mistake.
const maxFileBytes = 1 << 20

// Recognise reports whether a file is one of Gaurun's: it has a table [core],
// [ios] or [android] and no [push]. A file that cannot be read is none.
func Recognise(path string) bool {
	text, err := readFile(path)
	if err != nil {
		return false
	}
	return recognise(text)
}

func recognise(text []byte) bool {
	var tables map[string]any
	if _, err := toml.Decode(string(text), &tables); err != nil {
		// With a fault in it the file must still be told apart, so that the
		// fault is reported as one of a Gaurun file.
		tables = headers(text)
	}
	has := func(name string) bool {
		_, there := tables[name]
		return there
	}
	return !has("push") && (has("core") || has("ios") || has("android"))
}

// headers finds the tables of a file that is not TOML altogether.
func headers(text []byte) map[string]any {
	tables := make(map[string]any)
	for line := range bytes.Lines(text) {
		if name, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("[")); ok {
			name, _, _ = bytes.Cut(bytes.TrimLeft(name, "["), []byte("]"))
			name, _, _ = bytes.Cut(name, []byte("."))
			tables[string(bytes.TrimSpace(name))] = true
		}
	}
	return tables
}

// Load reads a Gaurun file over Gaurun's defaults. Unknown keys are ignored, as
// Gaurun does, with a warning. The error is one line that names the file and,
// if a value is of a wrong type, the key. What else is wrong is told by
// Validate.
func Load(path string) (File, []Warning, error) {
	text, err := readFile(path)
	if err != nil {
		return DefaultFile(), nil, err
	}
	f, warnings, err := parse(text)
	if err != nil {
		return f, nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, warnings, nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case len(text) > maxFileBytes:
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxFileBytes)
	}
	return text, nil
}

func parse(text []byte) (File, []Warning, error) {
	f := DefaultFile()
	md, err := toml.Decode(string(text), &f)
	if err != nil {
		return f, nil, errors.New(strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "toml: ")), " "))
	}
	var warnings []Warning
	warn := func(key, problem string) { warnings = append(warnings, Warning{key, problem}) }
	for _, key := range md.Undecoded() {
		name := key.String()
		why := removed[name]
		if why == "" && len(key) > 1 {
			why = removed[key[0]]
		}
		switch {
		case name == "api":
			// its keys follow
		case why != "":
			warn(name, "is ignored: "+why)
		default:
			warn(name, "is not a key of Gaurun and is ignored")
		}
	}
	if f.Android.APIKey != "" && f.Android.CredentialsFile != "" {
		warn("android.apikey", "is not used any more, android.credentials_file is")
	}
	if f.Core.NotificationMax <= 0 {
		warn("core.notification_max", "refuses every request when it is not above 0")
	}
	return f, warnings, nil
}

// Validate reports everything that keeps the gateway from starting, each with
// its key in the file. It reads the credential files.
func (f File) Validate(fault func(key, problem string)) {
	if !f.IOS.Enabled && !f.Android.Enabled {
		fault("ios.enabled", "no platform is enabled, this one or android.enabled must be true")
	}
	if _, err := f.Listen(); err != nil {
		fault("core.port", err.Error())
	}
	if f.IOS.Enabled {
		f.IOS.validate(fault)
	}
	if f.Android.Enabled && f.Android.CredentialsFile == "" {
		if f.Android.APIKey != "" {
			fault("android.apikey", "is a key of a Google API that ended in 2024: name a service account (JSON) in android.credentials_file, or set android.enabled = false")
		} else {
			fault("android.credentials_file", "is required: name a service account (JSON), or set android.enabled = false")
		}
	}
	if f.Core.Pid != "" {
		if _, err := os.Stat(filepath.Dir(f.Core.Pid)); err != nil {
			fault("core.pid", "the directory "+filepath.Dir(f.Core.Pid)+" is not there")
		}
	}
	if _, err := parseLevel(f.Log.Level); err != nil {
		fault("log.level", err.Error())
	}
	for _, n := range []struct {
		key string
		v   int
	}{{"ios.timeout", f.IOS.Timeout}, {"android.timeout", f.Android.Timeout}} {
		if n.v < 0 || n.v > maxSeconds {
			fault(n.key, "must be between 0 and 86400 seconds")
		}
	}
	if f.Core.ShutdownTimeout < 0 || f.Core.ShutdownTimeout > maxSeconds {
		fault("core.shutdown_timeout", "must be between 0 and 86400 seconds")
	}
	f.Config().Validate(func(key, problem string) {
		if key = gaurunKey(key); key != "" {
			fault(key, problem)
		}
	})
}

// maxSeconds bounds times in a file, so that none overflows.
const maxSeconds = 86400

// validate reports what is wrong with how Apple is to know the app.
func (c IOS) validate(fault func(key, problem string)) {
	switch {
	case c.withCertificate() && c.withToken():
		fault("ios.token_auth_key_path", "and ios.pem_cert_path exclude each other: Apple takes a token or a certificate")
	case c.withCertificate() || c.withToken():
	case c.TokenAuthKeyPath != "":
		for _, k := range []struct{ key, v string }{{"ios.token_auth_key_id", c.TokenAuthKeyID}, {"ios.token_auth_team_id", c.TokenAuthTeamID}} {
			if k.v == "" {
				fault(k.key, "is required with ios.token_auth_key_path")
			}
		}
	case c.PemCertPath != "":
		fault("ios.pem_key_path", "is required with ios.pem_cert_path")
	default:
		fault("ios.token_auth_key_path", "is required (or ios.pem_cert_path), or set ios.enabled = false")
	}
}

func (c IOS) withCertificate() bool { return c.PemCertPath != "" && c.PemKeyPath != "" }

func (c IOS) withToken() bool {
	return c.TokenAuthKeyPath != "" && c.TokenAuthKeyID != "" && c.TokenAuthTeamID != ""
}

// gaurunKeys are the keys of the gateway's configuration that a Gaurun file
// sets, and its own names of them.
var gaurunKeys = map[string]string{
	"store":                        "core.store",
	"apps[0].apns.key_file":        "ios.token_auth_key_path",
	"apps[0].apns.key_id":          "ios.token_auth_key_id",
	"apps[0].apns.team_id":         "ios.token_auth_team_id",
	"apps[0].apns.cert_file":       "ios.pem_cert_path",
	"apps[0].apns.cert_key_file":   "ios.pem_key_path",
	"apps[0].apns.topic":           "ios.topic",
	"apps[0].apns.endpoint":        "ios.endpoint",
	"apps[0].apns.ca_file":         "ios.ca_file",
	"apps[0].fcm.credentials_file": "android.credentials_file",
	"apps[0].fcm.endpoint":         "android.endpoint",
	"apps[0].fcm.ca_file":          "android.ca_file",
}

// gaurunKey names a fault of the gateway's configuration in a Gaurun file, or
// returns "" if Validate reports it by itself.
func gaurunKey(key string) string {
	if name, ok := gaurunKeys[key]; ok {
		return name
	}
	if key == "listen" || strings.HasPrefix(key, "gaurun.") {
		return ""
	}
	return "push." + key
}

// Listen returns where core.port says to listen: a port is one of all addresses,
// as it is in Gaurun.
func (f File) Listen() (string, error) {
	if strings.HasPrefix(f.Core.Port, "unix:/") {
		return f.Core.Port, nil
	}
	n, err := strconv.ParseUint(f.Core.Port, 10, 16)
	if err != nil {
		return "", fmt.Errorf("%q is neither a port number nor unix:/path", f.Core.Port)
	}
	return ":" + strconv.FormatUint(n, 10), nil
}

// Config returns the gateway's configuration: one app, named AppName, without
// tokens and open to every machine that reaches the port.
func (f File) Config() push.Config {
	c := push.DefaultConfig()
	c.Listen, _ = f.Listen() // Validate tells what is wrong with it
	c.AllowOpen = true
	if f.Core.Store != "" {
		c.Store = f.Core.Store
	}
	c.Gaurun = push.GaurunConfig{
		NotificationMax:    int(min(max(f.Core.NotificationMax, 0), math.MaxInt32)),
		AllowsEmptyMessage: f.Core.AllowsEmptyMessage,
		AccessLog:          f.Log.AccessLog,
		ErrorLog:           f.Log.ErrorLog,
	}
	app := push.AppConfig{Name: AppName}
	if f.IOS.Enabled {
		app.APNS = f.IOS.config()
		app.APNS.MaxInFlight = f.maxInFlight()
	}
	if f.Android.Enabled && f.Android.CredentialsFile != "" {
		app.FCM = push.FCMConfig{
			CredentialsFile: f.Android.CredentialsFile,
			Endpoint:        f.Android.Endpoint,
			CAFile:          f.Android.CAFile,
			Timeout:         secondsOf(f.Android.Timeout),
			MaxInFlight:     f.maxInFlight(),
		}
	}
	c.Apps = []push.AppConfig{app}
	return c
}

// config returns how Apple knows the app, nothing if that is not said.
func (c IOS) config() push.APNSConfig {
	var out push.APNSConfig
	switch {
	case c.withToken():
		out.KeyFile, out.KeyID, out.TeamID = c.TokenAuthKeyPath, c.TokenAuthKeyID, c.TokenAuthTeamID
	case c.withCertificate():
		out.CertFile, out.CertKeyFile, out.CertKeyPassphrase = c.PemCertPath, c.PemKeyPath, c.PemKeyPassphrase
	default:
		return out
	}
	out.Topic, out.CAFile, out.Timeout, out.Endpoint = c.Topic, c.CAFile, secondsOf(c.Timeout), c.Endpoint
	if out.Endpoint == "" {
		out.Endpoint = production
		if c.Sandbox {
			out.Endpoint = development
		}
	}
	return out
}

// Apple's two environments.
const (
	production  = "https://api.push.apple.com"
	development = "https://api.sandbox.push.apple.com"
)

// maxInFlight is core.pusher_max for all workers together; 0 leaves it to the
// gateway. Gaurun sends one at a time then, for each worker, which nobody means.
func (f File) maxInFlight() int { return inFlight(f.Core.PusherMax, f.Core.Workers) }

// inFlight is a pusher_max for all workers together, within reason.
func inFlight(pushers, workers int64) int {
	const most = 1 << 20
	pushers, workers = min(pushers, most), min(max(workers, 1), most)
	return int(min(max(pushers, 0)*workers, most))
}

// StopTimeout is how long the gateway may take to stop: what Gaurun gives its
// requests, and a while for what it does not have.
func (f File) StopTimeout() time.Duration {
	return time.Duration(f.Core.ShutdownTimeout)*time.Second + 5*time.Second
}

func secondsOf(n int) time.Duration { return time.Duration(n) * time.Second }

// FileOf returns the Gaurun file that comes nearest to a configuration of the
// gateway, for GET /config/app: of the app with the given name, or the first.
func FileOf(c push.Config, app string) File {
	f := DefaultFile()
	f.Core.Port = c.Listen
	if _, port, ok := strings.Cut(c.Listen, ":"); ok && !strings.HasPrefix(c.Listen, "unix:") {
		f.Core.Port = port[strings.LastIndexByte(port, ':')+1:]
	}
	f.Core.Workers, f.Core.Queues = 1, c.MaxBacklog
	if c.Gaurun.NotificationMax > 0 {
		f.Core.NotificationMax = int64(c.Gaurun.NotificationMax)
	}
	f.Core.AllowsEmptyMessage = c.Gaurun.AllowsEmptyMessage
	f.Log = Log{AccessLog: orDiscard(c.Gaurun.AccessLog), ErrorLog: orDiscard(c.Gaurun.ErrorLog), Level: "error"}
	f.IOS.Enabled, f.Android.Enabled = false, false
	i := slices.IndexFunc(c.Apps, func(a push.AppConfig) bool { return app == "" || a.Name == app })
	if i < 0 {
		return f
	}
	if a := c.Apps[i].APNS; a.Enabled() {
		a = a.WithDefaults()
		f.IOS.Enabled = true
		f.IOS.PemCertPath, f.IOS.PemKeyPath, f.IOS.PemKeyPassphrase = a.CertFile, a.CertKeyFile, a.CertKeyPassphrase
		f.IOS.TokenAuthKeyPath, f.IOS.TokenAuthKeyID, f.IOS.TokenAuthTeamID = a.KeyFile, a.KeyID, a.TeamID
		f.IOS.Topic, f.IOS.CAFile, f.IOS.Timeout = a.Topic, a.CAFile, int(a.Timeout/time.Second)
		f.IOS.Sandbox = a.Endpoint == development
		if a.Endpoint != production && a.Endpoint != development {
			f.IOS.Endpoint = a.Endpoint
		}
	}
	if a := c.Apps[i].FCM; a.Enabled() {
		f.Android.Enabled = true
		f.Android.CredentialsFile, f.Android.Endpoint, f.Android.CAFile = a.CredentialsFile, a.Endpoint, a.CAFile
		f.Android.Timeout = int(a.WithDefaults().Timeout / time.Second)
	}
	return f
}

func orDiscard(name string) string {
	if name == "" {
		return discard
	}
	return name
}

// encode returns the file as TOML with its secrets hidden, as Gaurun shows it.
func (f File) encode() ([]byte, error) {
	const hidden = "..."
	f.Android.APIKey = hidden // also when there is none, as in Gaurun
	if f.IOS.PemKeyPassphrase != "" {
		f.IOS.PemKeyPassphrase = hidden
	}
	if f.Core.Store != "" && !strings.HasPrefix(f.Core.Store, "sqlite:") {
		f.Core.Store = hidden // it may hold a password
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(f); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// LogOptions returns what the file says about its logs.
func (f File) LogOptions(stdout, stderr io.Writer) LogOptions {
	return LogOptions{Access: f.Log.AccessLog, Error: f.Log.ErrorLog, Level: f.Log.Level, Stdout: stdout, Stderr: stderr}
}

// Options returns what the file says about the routes.
func (f File) Options(logs *Logs) Options {
	o := Options{
		App:                AppName,
		NotificationMax:    int(min(f.Core.NotificationMax, math.MaxInt32)),
		AllowsEmptyMessage: f.Core.AllowsEmptyMessage,
		Strict:             f.Log.Level == "debug",
		Logs:               logs,
		Workers:            max(f.Core.Workers, 1),
		PusherMax:          max(f.Core.PusherMax, 0),
		QueueMax:           f.Core.Queues,
		File:               f,
	}
	if o.NotificationMax <= 0 {
		o.NotificationMax = -1
	}
	return o
}

// OptionsOf returns what the gateway's own configuration says about the routes,
// which serve its first app.
func OptionsOf(c push.Config, logs *Logs) Options {
	return Options{
		NotificationMax:    c.Gaurun.NotificationMax,
		AllowsEmptyMessage: c.Gaurun.AllowsEmptyMessage,
		Logs:               logs,
		File:               FileOf(c, ""),
	}
}
