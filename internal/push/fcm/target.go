package fcm

import (
	"strings"

	"github.com/furima/furima/internal/push"
)

// Google's limits of audiences.
const (
	maxTopicBytes      = 900
	maxConditionTopics = 5
)

// checkTarget checks the audience of a notification, if it has one.
func checkTarget(o push.FCMOverride, fault func(pointer, message string)) {
	if o.Topic != "" && (len(o.Topic) > maxTopicBytes || !isName(o.Topic)) {
		fault("/fcm/topic", "must be letters, digits, '-', '_', '.', '~' or '%', without /topics/")
	}
	if o.Condition == "" {
		return
	}
	switch n, ok := topicsOf(o.Condition); {
	case !ok:
		fault("/fcm/condition", "must be as in: 'a' in topics && ('b' in topics || !('c' in topics))")
	case n > maxConditionTopics:
		fault("/fcm/condition", "must have at most 5 topics")
	}
}

// isName reports whether s has only the characters of topics and labels.
func isName(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~%") == ""
}

// topicsOf counts the topics of a condition, and reports whether it is one.
func topicsOf(s string) (n int, ok bool) {
	c := condition{rest: s}
	ok = c.expression(0)
	return c.topics, ok && c.rest == ""
}

// condition is read from the left: an expression is terms with && or || between
// them; a term is a topic, an expression in parentheses, or either after a !.
type condition struct {
	rest   string
	topics int
}

// maxConditionDepth bounds parentheses; what is sensible needs two or three.
const maxConditionDepth = 20

func (c *condition) expression(depth int) bool {
	for {
		if !c.term(depth) {
			return false
		}
		if !c.skip("&&") && !c.skip("||") {
			return true
		}
	}
}

func (c *condition) term(depth int) bool {
	c.rest = strings.TrimLeft(c.rest, " ")
	for c.skip("!") {
	}
	if c.skip("(") {
		return depth < maxConditionDepth && c.expression(depth+1) && c.skip(")")
	}
	quoted, ok := strings.CutPrefix(c.rest, "'")
	name, rest, closed := strings.Cut(quoted, "'")
	if !ok || !closed || name == "" || !isName(name) {
		return false
	}
	c.rest = rest
	c.topics++
	return c.skip("in ") && c.skip("topics")
}

// skip takes s off the front, and the spaces around it.
func (c *condition) skip(s string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(c.rest, " "), s)
	if ok {
		c.rest = strings.TrimLeft(rest, " ")
	}
	return ok
}
