package stagingsuite

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

func taken(b *bench) {
	b.put(object(1))
	b.must(b.stage(id, 2))
	b.wants(b.stage(next, 3), broker.ErrConflict)
	b.isStaged(id, 2)
	b.isNotStaged(next)
	b.wants(b.promote(next), broker.ErrConflict)
	b.must(b.restore(next))
	b.isStaged(id, 2)
	b.must(b.promote(id))
	b.current(2)
}

func oneValue(b *bench) {
	b.put(object(1))
	b.must(b.stage(id, 2))
	b.wants(b.stage(id, 3), broker.ErrConflict)
	b.isStaged(id, 2)
	b.must(b.promote(id))
	b.wants(b.stage(id, 3), broker.ErrConflict)
	b.current(2)
}

func overtaken(b *bench) {
	b.put(object(1))
	b.must(b.stage(id, 2))
	b.put(object(9))
	b.wants(b.promote(id), broker.ErrConflict)
	b.current(9)
	b.must(b.restore(id))
	b.current(9)
	b.isNotStaged(id)
}

func outlived(b *bench) {
	b.put(object(1))
	b.must(b.stage(id, 2))
	b.must(b.promote(id))
	b.put(object(9))
	b.must(b.restore(id))
	b.current(9)
	b.must(b.stage(next, 3))
	b.must(b.promote(next))
	b.current(3)
}

// raced: whoever could promote has its value in use, and nobody else has.
func raced(b *bench) {
	b.put(object(1))
	const racers = 16
	promoted := make([]bool, racers)
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			id := fmt.Sprintf("01JD00000000000000000001%02d", i)
			for range 5 { // a store that is busy says so
				err := b.stage(id, 100+i)
				if err == nil {
					err = b.promote(id)
					promoted[i] = err == nil
				}
				if !errors.Is(err, broker.ErrUnavailable) {
					break
				}
			}
		})
	}
	all.Wait()
	var winners []int
	for i, won := range promoted {
		if won {
			winners = append(winners, i)
		}
	}
	if len(winners) == 0 {
		b.current(1)
		return
	}
	// One may have staged after another had promoted; all but the last are over.
	found, err := b.Open().Fetch(b.Context(), b.want(path, "token"))
	b.must(err)
	for _, i := range winners {
		if found.Values["token"].Equal(secret.New(material(100 + i))) {
			return
		}
	}
	b.Fatal("a value is in use that nobody promoted")
}

func unknown(b *bench) {
	b.put(object(1))
	b.isNotStaged(id)
	b.wants(b.promote(id), broker.ErrConflict)
	b.must(b.restore(id))
	b.must(b.retire(id))
	b.current(1)
}

func refused(b *bench) {
	stage := func(path, key string, value secret.Value) error {
		_, _, err := b.Open().Stage(b.Context(), b.want(path), key, id, value)
		return b.clean(err)
	}
	b.wants(stage("none", "token", secret.New(material(2))), broker.ErrSecretMissing)
	b.put(object(1))
	b.wants(stage(path, "absent", secret.New(material(2))), broker.ErrSecretMissing)
	b.wants(stage(path, "port", secret.New(material(2))), broker.ErrSecretMalformed)
	b.wants(stage(path, "token", secret.New(canary+"\xff")), broker.ErrSecretMalformed)
	b.wants(stage(path+"?version="+strings.Repeat("0", 32), "token", secret.New(material(2))), broker.ErrSecretMalformed)
	for _, id := range []string{"", "a b", strings.Repeat("a", 65)} {
		_, _, err := b.Open().Stage(b.Context(), b.want(path), "token", id, secret.New(material(2)))
		b.wants(err, broker.ErrInvalid)
	}
	if _, _, err := b.Open().Stage(b.cancelled(), b.want(path), "token", id, secret.New(material(2))); !errors.Is(err, broker.ErrUnavailable) {
		b.Errorf("a cancelled call: %v", err)
	}
	b.current(1)
	b.isNotStaged(id)
	b.put(material(5))
	b.wants(stage(path, "token", secret.New(material(2))), broker.ErrSecretMalformed)
}

func brokenOff(b *bench) {
	n, run := 1, 0
	b.put(object(n))
	id := ""
	begin := func() { run++; id = fmt.Sprintf("01JD00000000000000000002%02d", run) }
	begin()
	b.crash(func() error { return b.stage(id, n+1) }, func(at string) {
		b.Log(at, "of staging")
		b.current(n)
		b.must(b.stage(id, n+1))
		b.isStaged(id, n+1)
		b.must(b.restore(id))
		begin()
	})
	b.crash(func() error { return b.promote(id) }, func(at string) {
		b.Log(at, "of promotion")
		b.must(b.promote(id))
		n++
		b.current(n)
		b.must(b.retire(id))
		begin()
		b.must(b.stage(id, n+1))
	})
	n++
	b.current(n)
	b.crash(func() error { return b.retire(id) }, func(at string) {
		b.Log(at, "of retirement")
		b.must(b.retire(id))
		if remembers(b.current(n), n-1) {
			b.Error("the value before is still read")
		}
		begin()
		b.must(b.stage(id, n+1))
		b.must(b.promote(id))
		n++
	})
}

func brokenOffAndTakenBack(b *bench) {
	b.put(object(1))
	run, id := 0, ""
	begin := func() { run++; id = fmt.Sprintf("01JD00000000000000000003%02d", run) }
	back := func(at string) {
		b.Log(at)
		b.must(b.restore(id))
		b.current(1)
		b.isNotStaged(id)
		begin()
	}
	begin()
	b.crash(func() error { return b.stage(id, 2+run) }, back)
	b.crash(func() error { return b.promote(id) }, func(at string) {
		back(at + " of promotion")
		b.must(b.stage(id, 2+run))
	})
	b.crash(func() error { return b.restore(id) }, func(at string) {
		back(at + " of restoration")
		b.must(b.stage(id, 2+run))
		b.must(b.promote(id))
	})
	b.current(1)
}
