package client

import (
	"context"
	"fmt"
	"net/http"
)

// NewReport tells the operator of something that is wrong.
type NewReport struct {
	Kind      string `json:"kind" enum:"item,user,comment,order" doc:"What it is about. A report of an order by its buyer is a dispute: the money stays held."`
	SubjectID string `json:"subject_id" maxLength:"32" doc:"Its id." example:"it_0c2tn5w8q1z4x"`
	Reason    string `json:"reason" enum:"prohibited,counterfeit,fraud,harassment,spam,other" doc:"Why."`
	Note      string `json:"note,omitempty" maxLength:"1000" doc:"In words; needed for the reason other."`
}

// Report is what the operator was told.
type Report struct {
	ID        string `json:"id" doc:"Id of the report; of an order, the order's." example:"rp_0c2tn5w8q1z4x"`
	Kind      string `json:"kind" enum:"item,user,comment,order" doc:"What it is about."`
	SubjectID string `json:"subject_id" doc:"Its id."`
	Reason    string `json:"reason" doc:"Why."`
	CreatedAt Time   `json:"created_at" doc:"When it was made."`
}

// Report tells the operator of something that is wrong. The same thing reported
// twice is one report.
func (c *Client) Report(ctx context.Context, r NewReport) (Report, error) {
	var out Report
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/reports", json: r}, &out); err != nil {
		return Report{}, fmt.Errorf("report: %w", err)
	}
	return out, nil
}
