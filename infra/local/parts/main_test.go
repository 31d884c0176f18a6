package parts

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The tests start this very binary as the program or the installer they need.
const roleName = "PARTS_TEST_ROLE"

func TestMain(m *testing.M) {
	role, argument, _ := strings.Cut(os.Getenv(roleName), "=")
	switch role {
	case "":
		os.Exit(m.Run())
	case "serve": // listens on the port until it is ended
		l, err := net.Listen("tcp4", "127.0.0.1:"+argument)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("serving on", l.Addr())
		time.Sleep(time.Hour)
	case "announce": // says so before it listens, like the everything-server
		fmt.Println("serving on 127.0.0.1:" + argument)
		time.Sleep(200 * time.Millisecond) // as on a busy machine
		if _, err := net.Listen("tcp4", "127.0.0.1:"+argument); err != nil {
			log.Fatal(err)
		}
		time.Sleep(time.Hour)
	case "install": // never finishes an install in the folder
		h := home{local: argument}
		_, _ = h.install(context.Background(), nil, "part", []string{"pin"}, func(dir string) error {
			if err := os.WriteFile(filepath.Join(dir, "half"), nil, 0o644); err != nil {
				log.Fatal(err)
			}
			fmt.Println("half way")
			time.Sleep(time.Hour)
			return nil
		})
	case "parent": // starts a program and is killed
		c, err := spawn(exec.Command("sleep", "3600"))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(c.pid)
		time.Sleep(time.Hour)
	default:
		log.Fatal("no such role")
	}
}

// testHome is a place to install and start in.
func testHome(t *testing.T) home {
	t.Helper()
	return home{local: t.TempDir(), freePort: loopbackPort}
}

// testProgram is this binary in a role that serves on the port.
func testProgram(t *testing.T, role string) program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program{
		name:  "test-program",
		argv:  func(port string) []string { return []string{"env", roleName + "=" + role + "=" + port, self} },
		ready: func(port string) string { return "serving on 127.0.0.1:" + port },
		wait:  time.Minute,
	}
}

// startRole starts this binary in a role and returns it with its output.
func startRole(t *testing.T, role string) (*exec.Cmd, func() string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleName+"="+role)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, func() string {
		line := make([]byte, 200)
		n, err := out.Read(line)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(line[:n]))
	}
}
