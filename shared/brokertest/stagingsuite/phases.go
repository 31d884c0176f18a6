package stagingsuite

import (
	"bindery/shared/broker"
	"bindery/shared/secret"
)

func staged(b *bench) {
	b.put(object(1))
	before := b.current(1)
	from, to, err := b.Open().Stage(b.Context(), b.want(path), "token", id, secret.New(material(2)))
	b.must(err)
	if from != before.Version || to == "" || to == from {
		b.Errorf("staged from %q to %q; the current version is %q", from, to, before.Version)
	}
	if after := b.current(1); after.Version != before.Version || remembers(after, 2) {
		b.Error("staging changed what calls get")
	}
	if found := b.isStaged(id, 2); found.Version != to {
		b.Errorf("version %q is staged, not %q", found.Version, to)
	}
}

func promoted(b *bench) {
	b.put(object(1))
	before := b.current(1)
	b.must(b.stage(id, 2))
	b.must(b.promote(id))
	found := b.current(2)
	if found.Version == before.Version {
		b.Error("another value has the same version")
	}
	if !remembers(found, 1) {
		b.Error("the value before could not be masked")
	}
}

func whole(b *bench) {
	b.put(material(1))
	_, _, err := b.Open().Stage(b.Context(), b.want(path), "", id, secret.New(material(2)))
	b.must(err)
	b.must(b.promote(id))
	found, err := b.Open().Fetch(b.Context(), b.want(path, ""))
	b.must(err)
	if !found.Values[""].Equal(secret.New(material(2))) {
		b.Error("a call does not get the new value")
	}
}

func restoredStaged(b *bench) {
	b.put(object(1))
	b.must(b.stage(id, 2))
	b.must(b.restore(id))
	b.current(1)
	b.isNotStaged(id)
	b.wants(b.promote(id), broker.ErrConflict)
	b.must(b.stage(next, 3)) // nothing is in its way
	b.must(b.promote(next))
	b.current(3)
}

func restoredPromoted(b *bench) {
	b.put(object(1))
	b.must(b.stage(id, 2))
	b.must(b.promote(id))
	b.must(b.restore(id))
	if found := b.current(1); !remembers(found, 2) {
		b.Error("the value that was in use for a moment could not be masked")
	}
	b.isNotStaged(id)
	b.wants(b.promote(id), broker.ErrConflict)
	b.must(b.stage(next, 3))
	b.must(b.promote(next))
	b.current(3)
}

func retired(b *bench) {
	b.put(object(1))
	b.must(b.stage(id, 2))
	b.wants(b.retire(id), broker.ErrConflict)
	b.isStaged(id, 2)
	b.must(b.promote(id))
	b.must(b.retire(id))
	if found := b.current(2); remembers(found, 1) {
		b.Error("the value before is still read")
	}
	_ = b.restore(id) // may say that it is too late, or that there is nothing to do
	b.current(2)
}

func repeated(b *bench) {
	b.put(object(1))
	var versions [2][2]string
	for i := range versions {
		from, to, err := b.Open().Stage(b.Context(), b.want(path), "token", id, secret.New(material(2)))
		b.must(err)
		versions[i] = [2]string{from, to}
	}
	if versions[0] != versions[1] {
		b.Errorf("staged as %v and again as %v", versions[0], versions[1])
	}
	for range 2 {
		b.must(b.promote(id))
	}
	if version := b.current(2).Version; version != versions[0][1] {
		b.Errorf("version %q was promoted, not %q", version, versions[0][1])
	}
	for range 2 {
		b.must(b.retire(id))
		b.current(2)
	}
	b.must(b.stage(next, 3))
	b.must(b.promote(next))
	for range 2 {
		b.must(b.restore(next))
		b.current(2)
	}
}

func follows(b *bench) {
	b.put(object(1))
	for n, id := range []string{id, next, "01JD0000000000000000000003"} {
		b.must(b.stage(id, n+2))
		b.must(b.promote(id))
		found := b.current(n + 2)
		if !remembers(found, n+1) {
			b.Error("the value before could not be masked")
		}
		b.must(b.retire(id))
	}
}
