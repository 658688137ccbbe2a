package api

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/furima/furima/client"
)

// routes is the page of routes: every operation of the API, by noun.
func (a *API) routes() {
	const (
		get, post, put, patch, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
		conflict, notFound         = http.StatusConflict, http.StatusNotFound
		small                      = 16 << 10 // bytes of a body without long texts, every character escaped
	)

	// Accounts.
	register(a, operation{
		id: "register", method: post, path: "/v1/users", tag: "accounts", maxBody: small, status: http.StatusCreated, errors: []int{conflict},
		summary: "Register", about: "Makes an account and opens a session. Reason email_taken means that there is one with this address.",
	}, a.registerUser)
	register(a, operation{
		id: "logIn", method: post, path: "/v1/sessions", tag: "accounts", maxBody: small, status: http.StatusCreated, errors: []int{http.StatusUnauthorized, http.StatusForbidden},
		summary: "Log in", about: "Opens a session. The token is shown this once. Reason suspended, once the password is right, means that the operator keeps the person out.",
	}, a.logIn)
	register(a, operation{
		id: "logOut", method: del, path: "/v1/sessions/current", access: accessUser, tag: "accounts",
		summary: "Log out", about: "Ends the session. Devices that were registered in it are no longer notified.",
	}, a.logOut)
	a.meRoutes(small)
	a.notificationRoutes(small)
	register(a, operation{
		id: "putDevice", method: put, path: "/v1/me/devices/{device_id}", access: accessUser, tag: "accounts",
		summary: "Register a device", about: "From now on it is notified. The app chooses the id, one for each installation, and calls again whenever the token changes.",
	}, a.putDevice)
	register(a, operation{
		id: "deleteDevice", method: del, path: "/v1/me/devices/{device_id}", access: accessUser, tag: "accounts",
		summary: "Forget a device", about: "It is no longer notified. There need not be one.",
	}, a.deleteDevice)
	register(a, operation{
		id: "getMyItems", method: get, path: "/v1/me/items", access: accessUser, tag: "items", errors: []int{http.StatusBadRequest},
		summary: "My items", about: "What you sell, the newest first: what everybody sees, or what is paused, withdrawn or hidden.",
	}, a.getMyItems)

	register(a, operation{
		id: "getLikes", method: get, path: "/v1/me/likes", access: accessUser, tag: "items", errors: []int{http.StatusBadRequest},
		summary: "What I like", about: "The latest like first. What is no longer to be seen is left out, so that a page may be short although another one follows.",
	}, a.getLikes)

	// Items.
	a.public("/v1/catalog", a.getCatalog, operation{
		id: "getCatalog", tag: "items", summary: "Catalog", about: "Categories, brands, conditions and the currency.",
	}, typeFor[client.Catalog]())
	a.public("/v1/items", a.getItems, operation{
		id: "getItems", tag: "items", errors: []int{http.StatusBadRequest, notFound}, summary: "List items",
		about: "What is on sale, or what a person sells; all of it, or what has the words and the properties that are asked for. " +
			"A list never skips an item or shows one twice while others come and go. A page of what is rare may have fewer items than limit, or none, " +
			"and still a next_cursor: the list is over when there is none. What is new is in lists at once and found by words a moment later; " +
			"what is being bought or sold is gone from both at once.",
	}, typeFor[client.ItemPage](), append(filterParameters(), pageItemParameters()...)...)
	a.public("/v1/items/facets", a.getFacets, operation{
		id: "getItemFacets", tag: "items", errors: []int{notFound}, summary: "What a list divides into",
		about: "How many items of a list are in each category, of each brand and in each condition. At most 2,000 items are counted: " +
			"if complete is false, there are more.",
	}, typeFor[client.ItemFacets](), filterParameters()...)
	a.public("/v1/items/{id}", a.getItem, operation{
		id: "getItem", tag: "items", errors: []int{notFound}, summary: "Item", about: "An item that is on sale, being bought, or sold.",
	}, typeFor[client.Item](), pathParameter("id", "Id of the item."))
	register(a, operation{
		id: "listItem", method: post, path: "/v1/items", access: accessUser, tag: "items", status: http.StatusCreated,
		summary: "List an item for sale", about: "It is in the lists when this is answered.",
	}, a.listItem)
	register(a, operation{
		id: "changeItem", method: patch, path: "/v1/items/{id}", access: accessUser, tag: "items",
		errors:  []int{http.StatusForbidden, notFound, conflict, http.StatusPreconditionFailed},
		summary: "Change an item", about: "Edits, pauses, resumes or withdraws an item of yours. Not while somebody buys it, and not after.",
	}, a.changeItem)
	register(a, operation{
		id: "likeItem", method: put, path: "/v1/items/{id}/like", access: accessUser, tag: "items", errors: []int{http.StatusForbidden, notFound, conflict},
		summary: "Like an item", about: "To like twice is to like once.",
	}, a.likeItem)
	register(a, operation{
		id: "unlikeItem", method: del, path: "/v1/items/{id}/like", access: accessUser, tag: "items", errors: []int{notFound},
		summary: "Take a like back",
	}, a.unlikeItem)

	// Photos.
	a.handle("POST /v1/photos", a.addPhoto)
	a.document(addPhotoOperation(a.huma.OpenAPI().Components.Schemas))
	a.handle("GET /photos/{file}", a.getPhoto)
	a.document(getPhotoOperation())

	// Comments.
	a.public("/v1/items/{id}/comments", a.getComments, operation{
		id: "getComments", tag: "comments", errors: []int{http.StatusBadRequest, notFound}, summary: "Comments on an item", about: "The oldest first.",
	}, typeFor[client.CommentPage](), append([]*huma.Param{pathParameter("id", "Id of the item.")}, pageParameters(maxPage)...)...)
	register(a, operation{
		id: "commentItem", method: post, path: "/v1/items/{id}/comments", access: accessUser, tag: "comments", maxBody: small, status: http.StatusCreated,
		errors: []int{http.StatusForbidden, notFound, conflict}, summary: "Comment on an item", about: "Everybody can read it. Not on an item that has been sold.",
	}, a.commentItem)
	register(a, operation{
		id: "deleteComment", method: del, path: "/v1/items/{id}/comments/{comment_id}", access: accessUser, tag: "comments",
		errors:  []int{http.StatusForbidden, notFound},
		summary: "Take a comment away", about: "By its author or by the seller. What it said is gone, that it was there stays.",
	}, a.deleteComment)

	// Orders.
	register(a, operation{
		id: "buyItem", method: post, path: "/v1/orders", access: accessUser, tag: "orders", maxBody: small, status: http.StatusCreated,
		errors:  []int{http.StatusPaymentRequired, http.StatusForbidden, notFound, conflict},
		summary: "Buy an item",
		about: "Reserves the item, charges the buyer, and settles. Of any number of buyers one gets it; the others are told so before anything is charged. " +
			"202 means that the payment provider has not said yet what became of the charge: the order is pending_payment and decides itself; read it again.",
		timeout: a.cfg.RequestTimeout + a.cfg.ChargeTimeout + settleTimeout,
	}, a.buyItem)
	register(a, operation{
		id: "getOrders", method: get, path: "/v1/orders", access: accessUser, tag: "orders", errors: []int{http.StatusBadRequest},
		summary: "My orders", about: "Those in which you are the buyer, or the seller; the newest first.",
	}, a.getOrders)
	register(a, operation{
		id: "getOrder", method: get, path: "/v1/orders/{id}", access: accessUser, tag: "orders", errors: []int{notFound},
		summary: "Order", about: "Its buyer and its seller see it.",
	}, a.getOrder)
	a.lifecycleRoutes(small)
	a.balanceRoutes(small)
	a.blockRoutes()
	a.reportRoutes(small)

	// People.
	a.public("/v1/users/{id}", a.getUser, operation{
		id: "getUser", tag: "people", errors: []int{notFound}, summary: "Person", about: "A person's public face.",
	}, typeFor[client.User](), pathParameter("id", "Id of the user."))
	a.public("/v1/users/{id}/reviews", a.getReviews, operation{
		id: "getReviews", tag: "people", errors: []int{http.StatusBadRequest, notFound}, summary: "Reviews of a person",
		about: "What people who sold to or bought from somebody say, the newest first.",
	}, typeFor[client.ReviewPage](), append([]*huma.Param{pathParameter("id", "Id of the user.")}, pageParameters(maxPage)...)...)
}

// settleTimeout bounds writing down what became of a charge.
const settleTimeout = 10 * time.Second
