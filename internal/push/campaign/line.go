package campaign

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/furima/furima/client"
)

// Format is how a line is written.
type Format string

// The formats.
const (
	JSON   Format = "json"   // an object a line
	Tokens Format = "tokens" // a token a line, and nothing else; the platform is the text's
)

// maxTokenBytes is what the gateway takes; checked here, so that the line is
// known without asking it.
const maxTokenBytes = 4096

// wireLine is a line of JSON.
type wireLine struct {
	App   string `json:"app"`
	Token string `json:"token"` // instead of tokens
	client.Notification
}

// item is what a line asks for.
type item struct {
	app    string
	key    string              // the same for lines with the same text
	text   client.Notification // without tokens
	shared bool                // the text is Options.Text and nothing of the line's own
	tokens []string            // none: the text names an audience
}

// units is how many notifications the item counts as.
func (it *item) units() int { return max(1, len(it.tokens)) }

// lineError is what is wrong with a line. It never repeats what is in it, but
// for the names of fields.
type lineError string

func (e lineError) Error() string { return string(e) }

// parser reads lines.
type parser struct {
	format Format
	app    string
	text   client.Notification
	byPlat map[client.Platform]item // what lines without a text of their own come to
}

func newParser(o *Options) *parser {
	return &parser{format: o.Format, app: o.App, text: o.Text, byPlat: make(map[client.Platform]item)}
}

// parse reads one line, which is not empty. The item holds nothing of raw. The
// error is a lineError.
func (p *parser) parse(raw []byte) (item, error) {
	if p.format == Tokens {
		return p.bare(string(raw), p.text.Platform)
	}
	var l wireLine
	if err := json.Unmarshal(raw, &l, json.RejectUnknownMembers(true)); err != nil {
		return item{}, jsonError(err)
	}
	if l.App != "" && p.app != "" && l.App != p.app {
		return item{}, lineError("app is not the one that the campaign is for")
	}
	tokens := l.Tokens
	switch {
	case l.Token != "" && tokens != nil:
		return item{}, lineError("token and tokens exclude each other")
	case l.Token != "":
		tokens = []string{l.Token}
	}
	l.Tokens = nil
	it, err := p.compose(&l)
	if err != nil {
		return item{}, err
	}
	for i, t := range tokens {
		if problem := tokenProblem(t); problem != "" {
			if len(tokens) == 1 {
				return item{}, lineError("token " + problem)
			}
			return item{}, lineError(fmt.Sprintf("tokens/%d %s", i, problem))
		}
	}
	switch audience := hasAudience(&it.text); {
	case len(tokens) == 0 && !audience:
		return item{}, lineError("has no token")
	case len(tokens) > 0 && audience:
		return item{}, lineError("has tokens and a topic, a condition or a channel: these exclude each other")
	}
	it.tokens = tokens
	if it.app = l.App; it.app == "" {
		it.app = p.app
	}
	return it, nil
}

// bare is the item of a token alone.
func (p *parser) bare(token string, platform client.Platform) (item, error) {
	if problem := tokenProblem(token); problem != "" {
		return item{}, lineError("token " + problem)
	}
	if token[0] == '{' && platform != client.WebPush { // whose tokens are JSON
		return item{}, lineError("is JSON, and lines are to be tokens")
	}
	it, err := p.plain(platform)
	it.tokens, it.app = []string{token}, p.app
	return it, err
}

// plain is the item, still without tokens, of a line without a text of its own.
func (p *parser) plain(platform client.Platform) (item, error) {
	if it, ok := p.byPlat[platform]; ok {
		return it, nil
	}
	if problem := platformProblem(platform); problem != "" {
		return item{}, lineError(problem)
	}
	it := item{key: string(platform), text: p.text, shared: true}
	it.text.Platform, it.text.Tokens = platform, nil
	p.byPlat[platform] = it
	return it, nil
}

// compose lays the line over the campaign's text.
func (p *parser) compose(l *wireLine) (item, error) {
	platform := l.Platform
	if platform == "" {
		platform = p.text.Platform
	}
	own := l.Notification
	own.Platform = ""
	if reflect.ValueOf(&own).Elem().IsZero() {
		return p.plain(platform)
	}
	if problem := platformProblem(platform); problem != "" {
		return item{}, lineError(problem)
	}
	it := item{text: over(p.text, own)}
	it.text.Platform, it.text.Tokens = platform, nil
	key, err := json.Marshal(&it.text, json.Deterministic(true))
	if err != nil {
		return item{}, lineError("cannot be written as JSON again")
	}
	// A text is up to some kilobytes and a batch may hold a thousand.
	sum := sha256.Sum256(key)
	it.key = string(sum[:])
	return it, nil
}

// over returns base with every field of top that is set. The entries of data
// are laid over one by one, everything else as a whole.
func over(base, top client.Notification) client.Notification {
	out := base
	o, t := reflect.ValueOf(&out).Elem(), reflect.ValueOf(&top).Elem()
	for i := range t.NumField() {
		if f := t.Field(i); !f.IsZero() {
			o.Field(i).Set(f)
		}
	}
	if len(base.Data) > 0 && len(top.Data) > 0 {
		out.Data = maps.Clone(base.Data)
		maps.Copy(out.Data, top.Data)
	}
	return out
}

func hasAudience(n *client.Notification) bool {
	return n.FCM != nil && n.Platform == client.FCM && (n.FCM.Topic != "" || n.FCM.Condition != "") ||
		n.APNS != nil && n.Platform == client.APNS && n.APNS.ChannelID != ""
}

func platformProblem(p client.Platform) string {
	switch p {
	case client.APNS, client.FCM, client.WebPush:
		return ""
	case "":
		return "has no platform: apns, fcm or webpush"
	}
	return "platform must be apns, fcm or webpush"
}

func tokenProblem(t string) string {
	switch {
	case t == "":
		return "is empty"
	case len(t) > maxTokenBytes:
		return fmt.Sprintf("has more than %d bytes", maxTokenBytes)
	}
	for i := range len(t) {
		if t[i] <= 0x20 || t[i] > 0x7e {
			return "is not printable ASCII without spaces"
		}
	}
	return ""
}

// jsonError says what is wrong with the JSON of a line.
func jsonError(err error) lineError {
	var semantic *json.SemanticError
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic) && !errors.As(semantic.Err, new(*jsontext.SyntacticError)):
		at := strings.TrimPrefix(string(semantic.JSONPointer), "/")
		if at == "" {
			return "is not a JSON object"
		}
		return lineError(at + " " + semanticProblem(semantic))
	case errors.As(err, &syntax) && errors.Is(err, jsontext.ErrDuplicateName):
		return lineError(strings.TrimPrefix(string(syntax.JSONPointer), "/") + " is given twice")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "is not whole: the JSON is cut off"
	case errors.As(err, &syntax):
		return lineError(fmt.Sprintf("is not JSON from byte %d on", syntax.ByteOffset))
	}
	return "is not JSON"
}

func semanticProblem(e *json.SemanticError) string {
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		return "is not a known field"
	case e.GoType == reflect.TypeFor[client.Duration]():
		return `must be a duration, as "90s", or a number of seconds`
	case e.GoType == reflect.TypeFor[time.Time]():
		return "must be a time, as 2026-01-31T09:00:00Z"
	}
	return "is of the wrong type"
}

// trim takes off what surrounds a line's content: white space, and the mark
// that some editors put at the beginning of a file.
func trim(raw []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
}
