package cost

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Price is what one unit costs.
type Price struct {
	USD    float64 `json:"usd"`
	Per    float64 `json:"per"` // so many of the unit
	Unit   string  `json:"unit"`
	Source string  `json:"source"`
	Note   string  `json:"note,omitempty"`
}

func (p Price) of(n float64) float64 { return n * p.USD / p.Per }

// Prices is infra/prices.json.
type Prices struct {
	Region   string           `json:"region"`
	Currency string           `json:"currency"`
	Read     string           `json:"read"` // the day
	How      string           `json:"how"`
	Prices   map[string]Price `json:"prices"`
	Others   map[string]Price `json:"others"` // of what does something alike
}

// ReadPrices reads the file. A price without unit, number or source is none.
func ReadPrices(text []byte) (Prices, error) {
	var p Prices
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("read the prices: %w", err)
	}
	for _, all := range []map[string]Price{p.Prices, p.Others} {
		for name, one := range all {
			if one.USD <= 0 || one.Per <= 0 || one.Unit == "" || one.Source == "" {
				return p, fmt.Errorf("read the prices: %s lacks a number, its unit or where it is from", name)
			}
		}
	}
	for _, name := range needed() {
		if _, there := p.Prices[name]; !there {
			return p, fmt.Errorf("read the prices: %s is missing", name)
		}
	}
	return p, nil
}

// needed are the prices that the bill asks for.
func needed() []string {
	return []string{"rest_api_request", "lambda_request", "lambda_arm64", "lambda_x86_64", "dynamodb_read", "dynamodb_write",
		"dynamodb_read_provisioned", "dynamodb_write_provisioned", "dynamodb_storage", "dynamodb_storage_ia", "dynamodb_pitr",
		"secret_request", "secret_month", "kms_request", "kms_key_month", "logs_gb", "logs_gb_month", "metric_month", "alarm_month",
		"dashboard_month", "trace"}
}

// usd is what n of something cost. ReadPrices has seen that it has a price.
func (p Prices) usd(name string, n float64) float64 { return p.Prices[name].of(n) }
