package store

import "github.com/prometheus/client_golang/prometheus"

// metrics counts what has been committed.
type metrics struct {
	events *prometheus.CounterVec
}

// The events that metrics count.
const (
	eventUserRegistered = "user_registered"
	eventItemListed     = "item_listed"
	eventItemEdited     = "item_edited"
	eventItemLiked      = "item_liked"
	eventItemCommented  = "item_commented"
	eventItemReserved   = "item_reserved"
	eventReserveLost    = "reserve_lost"
	eventOrderPaid      = "order_paid"
	eventOrderCancelled = "order_cancelled"
	eventDeviceAdded    = "device_registered"
	eventDeviceGone     = "device_forgotten"
	eventUserBlocked    = "user_blocked"
	eventReported       = "reported"
	eventUserDeleted    = "user_deleted"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "furima_store_events_total",
			Help: "What people did and the database has committed, by event.",
		}, []string{"event"}),
	}
	for _, e := range []string{
		eventUserRegistered, eventItemListed, eventItemEdited, eventItemLiked, eventItemCommented, eventItemReserved,
		eventReserveLost, eventOrderPaid, eventOrderCancelled, eventDeviceAdded, eventDeviceGone, eventUserBlocked, eventReported, eventUserDeleted,
		"order_shipped", "order_delivered", "order_received", "order_completed", "order_disputed", "order_refund_pending", "order_refunded",
	} {
		m.events.WithLabelValues(e)
	}
	if reg != nil {
		reg.MustRegister(m.events)
	}
	return m
}

func (m *metrics) count(event string) { m.events.WithLabelValues(event).Inc() }
