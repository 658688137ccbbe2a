package cache

// index finds the live answers of a tag. Each answer is a member of one doubly
// linked list a tag, and its links are one allocation, so that linking and
// unlinking cost O(tags of the answer) whatever the length of the lists.
type index struct {
	tags map[string]*tagList
}

type tagList struct {
	tag   string
	first *link
}

type link struct {
	list       *tagList
	entry      *entry
	prev, next *link
}

// link makes e a live answer of its tags.
func (x *index) link(e *entry, tags []string) {
	e.links = make([]link, len(tags))
	for i, tag := range tags {
		list := x.tags[tag]
		if list == nil {
			list = &tagList{tag: tag}
			x.tags[tag] = list
		}
		l := &e.links[i]
		*l = link{list: list, entry: e, next: list.first}
		if l.next != nil {
			l.next.prev = l
		}
		list.first = l
	}
	e.state.Store(live)
}

// unlink takes e out of the index, if it is in it, and leaves it in the given
// state. What is not in the index is never served: no purge would reach it.
func (x *index) unlink(e *entry, state uint32) {
	if e.state.Load() != live {
		return
	}
	e.state.Store(state)
	for i := range e.links {
		l := &e.links[i]
		if l.prev != nil {
			l.prev.next = l.next
		} else {
			l.list.first = l.next
		}
		if l.next != nil {
			l.next.prev = l.prev
		}
		if l.list.first == nil {
			delete(x.tags, l.list.tag)
		}
	}
	e.links = nil
}

// first returns one of the live answers of tag, or nil.
func (x *index) first(tag string) *entry {
	if list := x.tags[tag]; list != nil {
		return list.first.entry
	}
	return nil
}

// maxPurgeLog bounds what the purge log remembers. A load that takes so long
// that more tags than that are purged meanwhile counts as purged itself.
const maxPurgeLog = 1 << 16

// purgeLog numbers the purges and remembers which tags were purged since the
// oldest running load began, so that a load learns at its end, when its tags are known,
// whether one of them was purged under it. With no load running it is empty.
type purgeLog struct {
	seq    uint64            // number of the last purge
	floor  uint64            // up to here purges have been forgotten
	last   map[string]uint64 // tag → number of its last purge
	log    fifo[purgedTag]   // the same in order, to forget the oldest first
	limit  int
	oldest *flight // running loads, from the oldest to the newest
	newest *flight
}

type purgedTag struct {
	tag string
	seq uint64
}

// add records one purge of tags.
func (p *purgeLog) add(tags []string) {
	p.seq++
	if p.oldest == nil {
		return
	}
	for _, tag := range tags {
		p.last[tag] = p.seq
		p.log.push(purgedTag{tag, p.seq})
	}
	for p.log.len() > p.limit {
		p.forget()
	}
}

// forget drops the oldest record.
func (p *purgeLog) forget() {
	r := p.log.pop()
	p.floor = max(p.floor, r.seq)
	if p.last[r.tag] == r.seq {
		delete(p.last, r.tag)
	}
}

// begin adds a running load.
func (p *purgeLog) begin(f *flight) {
	f.begin = p.seq
	f.prev = p.newest
	if f.prev != nil {
		f.prev.next = f
	} else {
		p.oldest = f
	}
	p.newest = f
}

// end removes a running load, and the records that only it needed.
func (p *purgeLog) end(f *flight) {
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		p.oldest = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		p.newest = f.prev
	}
	f.prev, f.next = nil, nil
	for p.log.len() > 0 && (p.oldest == nil || p.log.front().seq <= p.oldest.begin) {
		p.forget()
	}
}

// since reports whether one of tags has been purged after purge number begin,
// which must be that of a running load.
func (p *purgeLog) since(begin uint64, tags []string) bool {
	if begin == p.seq {
		return false
	}
	if begin < p.floor {
		return true
	}
	for _, tag := range tags {
		if p.last[tag] > begin {
			return true
		}
	}
	return false
}

// fifo is a queue in a slice whose room is used again.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) front() *T { return &q.items[q.head] }

func (q *fifo[T]) push(v T) {
	if q.head > len(q.items)/2 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *fifo[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	if q.head == len(q.items) {
		q.head = 0
		if q.items = q.items[:0]; cap(q.items) > 1024 {
			q.items = nil // a burst does not hold its room for ever
		}
	}
	return v
}
