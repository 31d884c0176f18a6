package dynamo

import "bindery/shared/broker"

func rotationPlansPartition(environment string) string { return join("rotation-plan", environment) }

func rotationPlanKey(environment, name string) key {
	return key{rotationPlansPartition(environment), join("name", name)}
}

// planClaimKey is where it says which plan rotates a secret.
func planClaimKey(environment, subject string) key {
	return key{rotationPlansPartition(environment), join("claim", broker.Digest("rotated", subject))}
}

func latestRunKey(environment, subject string) key {
	return key{join("rotation", environment, subject), "latest"}
}

// runKey is where a run is listed: among those of its subject, or of all
// where that is empty.
func runKey(environment, subject, id string) key {
	if subject == "" {
		return key{join("rotations", environment), join("run", id)}
	}
	return key{join("rotation", environment, subject), join("run", id)}
}

// dueRotationsPartition is where the index due has the runs that have not ended.
func dueRotationsPartition(environment string) string { return join("due-rotations", environment) }
