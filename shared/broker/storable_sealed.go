package broker

// Check refuses what no backend may keep: the version before has to be just that.
func (r SealedRow) Check() error {
	c := rowCheck{row: "sealed value"}
	c.require("versions", len(r.Versions) == 1 || len(r.Versions) == 2, "there are one or two")
	for i, v := range r.Versions {
		c.keep(v.Check())
		first := r.Versions[0]
		c.require("versions", v.Version == first.Version-int64(i) && v.Environment == first.Environment && v.ID == first.ID, "one is missing, or of another value")
	}
	if s := r.Staging; s != nil {
		c.id("rotation", s.Rotation)
		c.require("staged from", s.From >= 1, "it is a version")
		c.require("staged text", len(s.Sealed) <= maxSealed, "it is longer than 64 KiB")
		c.time("staging time", s.At)
	}
	return c.err
}
