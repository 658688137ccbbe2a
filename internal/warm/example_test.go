package warm_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/furima/furima/internal/warm"
)

func ExampleOnce() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "[]")
	}))
	defer origin.Close()

	plan, err := warm.NewPlan(origin.URL + "/v1/items?category={1..300}&sort={new,price}")
	if err != nil {
		fmt.Println(err)
		return
	}
	sum, err := warm.Once(context.Background(), plan, warm.OnceOptions{Workers: 8, Timeout: 5 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sum.OK, "of", sum.Combinations, "over", sum.Connections, "connections")
	// Output: 600 of 600 over 8 connections
}

func ExampleNewPlan() {
	plan, err := warm.NewPlan(`http://127.0.0.1:8080/items?sort={new,price}&page={1..3..2}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Count())
	for u := range plan.All() {
		fmt.Println(u)
	}
	_, err = warm.NewPlan("http://127.0.0.1:8080/{1..}")
	fmt.Println(err)
	// Output:
	// 4
	// http://127.0.0.1:8080/items?sort=new&page=1
	// http://127.0.0.1:8080/items?sort=new&page=3
	// http://127.0.0.1:8080/items?sort=price&page=1
	// http://127.0.0.1:8080/items?sort=price&page=3
	// position 24: range {1..}: "" is not a whole number
}
