package sandbox

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"golang.org/x/net/http2/hpack"
)

// pushTypes are the push types, with what their topic ends in.
var pushTypes = map[string]string{
	"alert":        "",
	"background":   "",
	"location":     ".location-query",
	"voip":         ".voip",
	"complication": ".complication",
	"fileprovider": ".pushkit.fileprovider",
	"pushtotalk":   ".voip-ptt",
	"liveactivity": ".push-type.liveactivity",
	"mdm":          "",
	"widgets":      ".push-type.widgets",
	"controls":     ".push-type.controls",
}

// request is what a client asks.
type request struct {
	method, path string
	fields       []hpack.HeaderField
	body         []byte
	certificate  bool // the client has shown one
}

// get returns the first field of a name, which is in lower case.
func (r *request) get(name string) string {
	for i := range r.fields {
		if r.fields[i].Name == name {
			return r.fields[i].Value
		}
	}
	return ""
}

func (r *request) has(name string) bool { return r.times(name) > 0 }

// times returns how many fields have a name.
func (r *request) times(name string) int {
	n := 0
	for i := range r.fields {
		if r.fields[i].Name == name {
			n++
		}
	}
	return n
}

// refusal is an answer other than success.
type refusal struct {
	status     int
	reason     string
	since      time.Time // with 410: when the token died
	retryAfter int
}

// check goes through a request to /3/device/ in the order of what Apple checks.
// The delivery is complete when there is no refusal.
func (a *Apple) check(r *request) (Delivery, *refusal) {
	d := Delivery{
		Topic:      r.get("apns-topic"),
		PushType:   r.get("apns-push-type"),
		Priority:   r.get("apns-priority"),
		Expiration: r.get("apns-expiration"),
		CollapseID: r.get("apns-collapse-id"),
		Payload:    r.body,
	}
	path, isDevice := strings.CutPrefix(r.path, devicePath)
	switch {
	case r.method != "POST":
		return d, &refusal{status: 405, reason: "MethodNotAllowed"}
	case !isDevice || strings.Contains(path, "/"):
		return d, &refusal{status: 404, reason: "BadPath"}
	case path == "":
		return d, &refusal{status: 400, reason: "MissingDeviceToken"}
	}
	if no := a.authorize(r); no != nil {
		return d, no
	}
	d.Token = strings.ToLower(path)
	if reason := a.refuseHeaders(r); reason != "" {
		return d, &refusal{status: 400, reason: reason}
	}
	limit := 4096
	if d.PushType == "voip" {
		limit = maxBody
	}
	switch {
	case len(r.body) > limit:
		return d, &refusal{status: 413, reason: "PayloadTooLarge"}
	case !isObject(r.body):
		// What Apple says to a payload that is no JSON object is not
		// documented; this is the nearest reason that is.
		return d, &refusal{status: 400, reason: "PayloadEmpty"}
	case !isToken(d.Token), strings.HasPrefix(d.Token, ForeignPrefix):
		return d, &refusal{status: 400, reason: "BadDeviceToken"}
	}
	if since, gone := a.o.Phones.uninstalled(d.Token); gone {
		return d, &refusal{status: 410, reason: "Unregistered", since: since}
	}
	if rate := a.manners.Load().DeviceRate; rate > 0 && a.devices.exceeds(d.Token, rate, a.o.Now()) {
		return d, &refusal{status: 429, reason: "TooManyRequests"}
	}
	return d, nil
}

// authorize checks the provider token, or that there is a certificate.
func (a *Apple) authorize(r *request) *refusal {
	m := a.manners.Load()
	header := r.get("authorization")
	switch {
	case m.Revoked:
		return &refusal{status: 403, reason: "InvalidProviderToken"}
	case header == "" && r.certificate:
		return nil
	}
	switch reason := a.auth.refuse(header, m.TokenUpdates); reason {
	case "":
		return nil
	case "TooManyProviderTokenUpdates":
		return &refusal{status: 429, reason: reason}
	default:
		return &refusal{status: 403, reason: reason}
	}
}

// single are the fields that a request may have once.
var single = []string{"apns-topic", "apns-push-type", "apns-priority", "apns-id", "apns-expiration", "apns-collapse-id"}

// refuseHeaders returns the reason to refuse the apns-… headers, or "".
func (a *Apple) refuseHeaders(r *request) string {
	for _, name := range single {
		if r.times(name) > 1 {
			return "DuplicateHeaders"
		}
	}
	topic, pushType, priority := r.get("apns-topic"), r.get("apns-push-type"), r.get("apns-priority")
	suffix, known := pushTypes[pushType]
	bundle, suffixed := strings.CutSuffix(topic, suffix)
	switch {
	case topic == "":
		return "MissingTopic"
	case strings.Trim(topic, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") != "":
		return "BadTopic"
	case !known, pushType == "location" && !r.has("authorization"):
		return "InvalidPushType"
	case !suffixed, len(a.o.Topics) > 0 && !slices.Contains(a.o.Topics, bundle):
		return "TopicDisallowed"
	case !isPriority(priority), pushType == "background" && priority != "5":
		return "BadPriority"
	case len(r.get("apns-collapse-id")) > 64:
		return "BadCollapseId"
	}
	if id := r.get("apns-id"); id != "" {
		// uuid.Validate also takes forms that are not canonical.
		if len(id) != 36 || uuid.Validate(id) != nil {
			return "BadMessageId"
		}
	}
	if !isExpiration(r.get("apns-expiration")) {
		return "BadExpirationDate"
	}
	return ""
}

// isPriority reports whether a request may have this apns-priority, or none.
func isPriority(s string) bool { return s == "" || s == "10" || s == "5" || s == "1" }

// isExpiration reports whether a request may have this apns-expiration, or none.
func isExpiration(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return s == "" || err == nil && n >= 0
}

// isObject reports whether body is a JSON object.
func isObject(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) && json.Valid(body)
}

// isToken reports whether s has the form of a device token: hexadecimal, of 32
// to 100 bytes.
func isToken(s string) bool {
	return len(s) >= 64 && len(s) <= 200 && len(s)%2 == 0 && strings.Trim(s, "0123456789abcdef") == ""
}

// tokenCheck checks provider tokens. Those that were found good last are
// remembered, since a provider uses one for most of an hour.
type tokenCheck struct {
	key *ecdsa.PublicKey
	now func() time.Time

	mu   sync.Mutex
	good map[string]time.Time // when each was issued
	last time.Time            // the newest of them
}

const (
	// tokenLife is how old a provider token may be.
	tokenLife = time.Hour
	// tokenPause is how much older than another one it must be, if that matters.
	tokenPause = 20 * time.Minute
	// maxGood is how many tokens are remembered.
	maxGood = 64
)

// refuse returns the reason to refuse an Authorization header, or "". With
// strict, a token that is made too soon after another one is refused.
func (c *tokenCheck) refuse(header string, strict bool) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return "MissingProviderToken"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	issued, known := c.good[token]
	if !known {
		var ok bool
		if issued, ok = c.verify(token); !ok {
			return "InvalidProviderToken"
		}
	}
	switch age := c.now().Sub(issued); {
	case age > tokenLife:
		return "ExpiredProviderToken"
	case age < -time.Minute:
		return "InvalidProviderToken"
	}
	if !known {
		if strict && !c.last.IsZero() && issued.Sub(c.last) < tokenPause {
			return "TooManyProviderTokenUpdates"
		}
		if c.good == nil || len(c.good) >= maxGood {
			c.good = make(map[string]time.Time)
		}
		c.good[token] = issued
		if issued.After(c.last) {
			c.last = issued
		}
	}
	return ""
}

func (c *tokenCheck) verify(token string) (issued time.Time, ok bool) {
	var claims jwt.RegisteredClaims
	// The age is checked by the caller: iat is Apple's only claim of time.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithoutClaimsValidation())
	parsed, err := parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != KeyID {
			return nil, jwt.ErrTokenUnverifiable
		}
		return c.key, nil
	})
	if err != nil || !parsed.Valid || claims.Issuer != TeamID || claims.IssuedAt == nil {
		return time.Time{}, false
	}
	return claims.IssuedAt.Time, true
}
