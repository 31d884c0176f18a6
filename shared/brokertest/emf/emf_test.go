package emf_test

import (
	"testing"

	"bindery/shared/brokertest/emf"
)

const sound = `{"msg":"x","_aws":{"Timestamp":60000,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["E"]],"Metrics":[{"Name":"C","Unit":"Count"}]}]},"E":"prod","C":2}`

func TestALineIsReadAsCloudWatchReadsIt(t *testing.T) {
	lines, err := emf.ReadAll([]byte(`{"msg":"none"}` + "\n" + sound + "\n"))
	if err != nil || len(lines) != 1 {
		t.Fatal(err, lines)
	}
	l := lines[0]
	if l.Namespace != "N" || l.Dimensions["E"] != "prod" || l.Values["C"] != 2 || l.Units["C"] != "Count" || l.Time.Unix() != 60 || emf.Sum(lines, "C") != 2 {
		t.Errorf("%+v", l)
	}
}

func TestALineThatCloudWatchWouldIgnoreIsAFault(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON":             `x`,
		"no time":             `{"_aws":{"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["E"]],"Metrics":[{"Name":"C","Unit":"Count"}]}]},"E":"p","C":1}`,
		"no directive":        `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[]},"E":"p","C":1}`,
		"a foreign namespace": `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"AWS/X","Dimensions":[["E"]],"Metrics":[{"Name":"C","Unit":"Count"}]}]},"E":"p","C":1}`,
		"no dimension":        `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["E"]],"Metrics":[{"Name":"C","Unit":"Count"}]}]},"C":1}`,
		"an empty dimension":  `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["E"]],"Metrics":[{"Name":"C","Unit":"Count"}]}]},"E":"","C":1}`,
		"no number":           `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["E"]],"Metrics":[{"Name":"C","Unit":"Count"}]}]},"E":"p","C":"1"}`,
		"no value":            `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["E"]],"Metrics":[{"Name":"C","Unit":"Count"}]}]},"E":"p"}`,
		"an unknown unit":     `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["E"]],"Metrics":[{"Name":"C","Unit":"Ounces"}]}]},"E":"p","C":1}`,
		"twice":               `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["E"]],"Metrics":[{"Name":"C","Unit":"Count"},{"Name":"C","Unit":"Count"}]}]},"E":"p","C":1}`,
		"no metric":           `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["E"]],"Metrics":[]}]},"E":"p"}`,
		"a foreign member":    `{"_aws":{"Timestamp":1,"More":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["E"]],"Metrics":[{"Name":"C","Unit":"Count"}]}]},"E":"p","C":1}`,
	} {
		if _, _, err := emf.Read([]byte(line)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
