package main

// The declared models. Decoding into them is the projection: encoding/json drops what they do not
// name.

type Item struct {
	SKU      string `json:"sku"`
	Name     string `json:"name"`
	Quantity int    `json:"quantity"`
	Price    string `json:"price"`
}

type Shipping struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"`
}

type Order struct {
	ID        string   `json:"id"`
	UserID    string   `json:"user_id"`
	Status    string   `json:"status"`
	Currency  string   `json:"currency"`
	Total     string   `json:"total"`
	CreatedAt string   `json:"created_at"`
	Items     []Item   `json:"items"`
	Shipping  Shipping `json:"shipping"`
}

type Address struct {
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"`
}

type User struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Email       string  `json:"email"`
	Tier        string  `json:"tier"`
	Locale      string  `json:"locale"`
	MemberSince string  `json:"member_since"`
	Address     Address `json:"address"`
}

type StockLine struct {
	SKU       string `json:"sku"`
	Available int    `json:"available"`
	Reserved  int    `json:"reserved"`
}

type Inventory struct {
	OrderID   string      `json:"order_id"`
	Warehouse string      `json:"warehouse"`
	Lines     []StockLine `json:"lines"`
}

type Conditions struct {
	MinimumTotal string `json:"minimum_total"`
	Currency     string `json:"currency"`
}

type Coupon struct {
	Code       string     `json:"code"`
	Percent    int        `json:"percent"`
	ExpiresAt  string     `json:"expires_at"`
	Conditions Conditions `json:"conditions"`
}

type Suggestion struct {
	SKU   string  `json:"sku"`
	Name  string  `json:"name"`
	Score float64 `json:"score"`
	Price string  `json:"price"`
}

type Recommend struct {
	Items []Suggestion `json:"items"`
}

// View is the reply. The weak parts are a pointer and a default, so a degraded reply stays valid.
type View struct {
	Order      Order     `json:"order"`
	User       User      `json:"user"`
	Inventory  Inventory `json:"inventory"`
	Coupon     *Coupon   `json:"coupon"`
	Recommend  Recommend `json:"recommend"`
	Degraded   []string  `json:"degraded"`
	RequestID  string    `json:"request_id"`
	ServedAtMS int64     `json:"served_at_ms"`
}

// BuyerView is the second view.
type BuyerView struct {
	Order      Order    `json:"order"`
	User       User     `json:"user"`
	Coupon     *Coupon  `json:"coupon"`
	Degraded   []string `json:"degraded"`
	RequestID  string   `json:"request_id"`
	ServedAtMS int64    `json:"served_at_ms"`
}
