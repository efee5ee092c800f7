package erp

// The sample's two companies; each has its own currency. A company's id is its position, from 1.
var companies = []struct{ name, currency string }{
	{"Nalar Foundation", "USD"},
	{"Nalar Trading", "EUR"},
}

// depots are the warehouses; an id is a position, from 1.
var depots = []struct {
	company          int64
	code, name, city string
}{
	{1, "JKT", "Jakarta Central", "Jakarta"},
	{1, "SUB", "Surabaya Depot", "Surabaya"},
	{2, "RTM", "Rotterdam Hub", "Rotterdam"},
}

// How many of what there is; ids run from 1.
const (
	users  = 60
	skus   = 300
	assets = 240
	grants = 24
)

// groups of the users. The first eighteen users are in one each, three a group in this order, so that who may see what
// is easy to foretell: 1 to 3 approve finances, 4 to 6 work in warehouses, and so on. Every third user is of the second
// company.
var groups = []string{"finance-approver", "warehouse", "purchasing", "manager", "hr", "grants"}

var firstNames = []string{
	"Ayu", "Budi", "Citra", "Dewi", "Eko", "Farah", "Gita", "Hadi", "Indra", "Joko", "Kartika", "Lina", "Made",
	"Nadia", "Oka", "Putri", "Rahmat", "Sari", "Tono", "Wulan", "Anna", "Bram", "Clara", "Daan", "Emma", "Finn",
	"Greta", "Hugo", "Iris", "Jonas",
}

var lastNames = []string{
	"Pratama", "Wijaya", "Santoso", "Lestari", "Hidayat", "Kusuma", "Siregar", "Halim", "Nugroho", "Utami",
	"de Vries", "Jansen", "Bakker", "Visser", "Meyer", "Schmidt", "Novak", "Rossi", "Silva", "Larsen", "O'Brien",
}

var expenses = []struct{ category, text string }{
	{"travel", "Train to the partner meeting"},
	{"travel", "Taxi from the airport"},
	{"travel", "Two nights near the field office"},
	{"meals", "Dinner with the donor's delegation"},
	{"meals", "Lunch for the training day"},
	{"office", "Printer paper and toner"},
	{"office", "Whiteboard for the meeting room"},
	{"software", "Yearly licence of the survey tool"},
	{"training", "Course fee, warehouse safety"},
	{"phone", "Roaming during the audit"},
	{"vehicle", "Fuel and tolls, distribution round"},
	{"vehicle", "New tyres for the pickup"},
}

var purposes = []string{
	"Field visit, travel and lodging", "Workshop costs, venue and catering", "Emergency purchase of tarpaulins",
	"Local transport for distribution", "Registration fees of the conference", "Survey team, per diems",
}

var leaveKinds = []string{"annual", "annual", "annual", "sick", "parental", "unpaid"}

var leaveReasons = []string{"Family holiday", "Moving house", "Medical appointment", "Wedding", "", "Exam week"}

var policies = []string{
	"Travel and expenses", "Remote work", "Procurement thresholds", "Information security", "Anti-fraud",
	"Vehicle use", "Safeguarding", "Leave and absence", "Records retention", "Petty cash",
}

var suppliers = []string{
	"PT Sumber Makmur", "CV Karya Abadi", "Van Dijk Groothandel", "Nordic Relief Supplies", "PT Logistik Nusantara",
	"Meyer & Söhne GmbH", "Bakker Verpakkingen", "PT Alat Medika",
}

var donors = []string{"European Commission", "Tanoto Foundation", "Open Road Alliance", "City of Rotterdam", "UNICEF"}

var grantTitles = []string{
	"Clean water for island schools", "Livelihoods after the flood", "Community health workers", "Girls in science",
	"Coastal reforestation", "Digital literacy for cooperatives",
}

var goods = []struct{ name, unit string }{
	{"Hygiene kit", "box"}, {"Water filter", "pc"}, {"Tarpaulin 4×6 m", "pc"}, {"Blanket", "pc"},
	{"Rice, fortified", "kg"}, {"Cooking oil", "l"}, {"School bag", "pc"}, {"Solar lamp", "pc"},
	{"First-aid kit", "box"}, {"Jerrycan 20 l", "pc"}, {"Mosquito net", "pc"}, {"Soap bar", "pc"},
	{"Notebook A5", "pack"}, {"Rain boots", "pair"}, {"Tool set", "box"},
}

var assetNames = []string{
	"Laptop ThinkPad T14", "Laptop MacBook Air", "Phone Galaxy A54", "Monitor 27\"", "Projector", "Toyota Hilux",
	"Satellite phone", "Forklift", "Label printer", "Tablet for surveys",
}
