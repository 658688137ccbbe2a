package sandbox

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
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

// check goes through a request in the order of what Apple checks. The delivery
// is complete when there is no refusal.
func (a *Apple) check(r *http.Request, body []byte) (Delivery, *refusal) {
	h := r.Header
	d := Delivery{
		Topic:      h.Get("apns-topic"),
		PushType:   h.Get("apns-push-type"),
		Priority:   h.Get("apns-priority"),
		Expiration: h.Get("apns-expiration"),
		CollapseID: h.Get("apns-collapse-id"),
		Payload:    body,
	}
	path, isDevice := strings.CutPrefix(r.URL.Path, "/3/device/")
	switch {
	case r.Method != http.MethodPost:
		return d, &refusal{status: 405, reason: "MethodNotAllowed"}
	case !isDevice || strings.Contains(path, "/"):
		return d, &refusal{status: 404, reason: "BadPath"}
	case path == "":
		return d, &refusal{status: 400, reason: "MissingDeviceToken"}
	}
	if reason := a.auth.refuse(h.Get("authorization")); reason != "" {
		return d, &refusal{status: 403, reason: reason}
	}
	d.Token = strings.ToLower(path)
	if reason := a.refuseHeaders(h); reason != "" {
		return d, &refusal{status: 400, reason: reason}
	}
	limit := 4096
	if d.PushType == "voip" {
		limit = 5120
	}
	switch {
	case len(body) > limit:
		return d, &refusal{status: 413, reason: "PayloadTooLarge"}
	case len(bytes.TrimSpace(body)) == 0, !isObject(body):
		// What Apple says to a payload that is no JSON object is not
		// documented; this is the nearest reason that is.
		return d, &refusal{status: 400, reason: "PayloadEmpty"}
	case !isToken(d.Token), strings.HasPrefix(d.Token, ForeignPrefix):
		return d, &refusal{status: 400, reason: "BadDeviceToken"}
	}
	if since, gone := a.o.Phones.uninstalled(d.Token); gone {
		return d, &refusal{status: 410, reason: "Unregistered", since: since}
	}
	return d, nil
}

// refuseHeaders returns the reason to refuse the apns-… headers, or "".
func (a *Apple) refuseHeaders(h http.Header) string {
	for _, name := range []string{"Apns-Topic", "Apns-Push-Type", "Apns-Priority", "Apns-Id", "Apns-Expiration", "Apns-Collapse-Id"} {
		if len(h[name]) > 1 {
			return "DuplicateHeaders"
		}
	}
	topic, pushType := h.Get("apns-topic"), h.Get("apns-push-type")
	suffix, known := pushTypes[pushType]
	bundle, suffixed := strings.CutSuffix(topic, suffix)
	priority := h.Get("apns-priority")
	switch {
	case topic == "":
		return "MissingTopic"
	case strings.Trim(topic, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") != "":
		return "BadTopic"
	case !known:
		return "InvalidPushType"
	case !suffixed, len(a.o.Topics) > 0 && !slices.Contains(a.o.Topics, bundle):
		return "TopicDisallowed"
	case priority != "" && priority != "10" && priority != "5" && priority != "1",
		pushType == "background" && priority != "5":
		return "BadPriority"
	case len(h.Get("apns-collapse-id")) > 64:
		return "BadCollapseId"
	}
	if id := h.Get("apns-id"); id != "" {
		// uuid.Parse also takes forms that are not canonical.
		if _, err := uuid.Parse(id); err != nil || len(id) != 36 {
			return "BadMessageId"
		}
	}
	if e := h.Get("apns-expiration"); e != "" {
		if n, err := strconv.ParseInt(e, 10, 64); err != nil || n < 0 {
			return "BadExpirationDate"
		}
	}
	return ""
}

func isObject(body []byte) bool {
	var o map[string]json.RawMessage
	return json.Unmarshal(body, &o) == nil && o != nil
}

// isToken reports whether s has the form of a device token: hexadecimal, of 32
// to 100 bytes.
func isToken(s string) bool {
	return len(s) >= 64 && len(s) <= 200 && len(s)%2 == 0 && strings.Trim(s, "0123456789abcdef") == ""
}

// tokenCheck checks provider tokens. The last one that was found good is
// remembered, since a provider uses one for most of an hour.
type tokenCheck struct {
	key *ecdsa.PublicKey
	now func() time.Time

	mu     sync.Mutex
	good   string
	issued time.Time
}

// tokenLife is how old a provider token may be.
const tokenLife = time.Hour

// refuse returns the reason to refuse an Authorization header, or "".
func (c *tokenCheck) refuse(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return "MissingProviderToken"
	}
	c.mu.Lock()
	known, issued := c.good == token, c.issued
	c.mu.Unlock()
	if !known {
		var ok bool
		if issued, ok = c.verify(token); !ok {
			return "InvalidProviderToken"
		}
		c.mu.Lock()
		c.good, c.issued = token, issued
		c.mu.Unlock()
	}
	switch age := c.now().Sub(issued); {
	case age > tokenLife:
		return "ExpiredProviderToken"
	case age < -time.Minute:
		return "InvalidProviderToken"
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
