package push

// Ready returns how many requests are in memory and have messages to send.
func (g *Gateway) Ready() int {
	n := 0
	for _, l := range g.current().lanes {
		l.pump.mu.Lock()
		n += len(l.pump.ready)
		l.pump.mu.Unlock()
	}
	return n
}
