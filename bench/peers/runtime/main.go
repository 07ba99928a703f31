// Go's rows: one row, once. Prints "Go", a tab, the value: ns of processor time an operation.
package main

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	capacity = 1024
	batch    = 64
	fanOut   = 8
	rivals   = 4
	atOnce   = 1000
	tree     = 100
)

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func per(begun float64, n int) float64 { return (cpu() - begun) / float64(n) }

func mpsc(n, senders, batch int) float64 {
	c := make(chan uint64, capacity)
	var left sync.WaitGroup
	begun := cpu()
	left.Add(senders)
	for i := 0; i < senders; i++ {
		go func() {
			for k := 0; k < n/senders; k++ {
				c <- uint64(k)
			}
			left.Done()
		}()
	}
	go func() { left.Wait(); close(c) }()
	var sum uint64
	for v := range c {
		sum += v
	more:
		for i := 1; i < batch; i++ {
			select {
			case w, open := <-c:
				if !open {
					break more
				}
				sum += w
			default:
				break more
			}
		}
	}
	return per(begun, n)
}

func oneshot(n int) float64 {
	begun := cpu()
	sum := 0
	for i := 0; i < n; i++ {
		c := make(chan int, 1)
		c <- i
		sum += <-c
	}
	return per(begun, n)
}

// Go has no broadcast: a channel a receiver.
func broadcast(n int) float64 {
	var left sync.WaitGroup
	var to [fanOut]chan uint64
	left.Add(fanOut)
	for i := range to {
		to[i] = make(chan uint64, batch)
		go func(c chan uint64) {
			for range c {
			}
			left.Done()
		}(to[i])
	}
	begun := cpu()
	for k := 0; k < n/fanOut; k++ {
		for _, c := range to {
			c <- uint64(k)
		}
	}
	for _, c := range to {
		close(c)
	}
	left.Wait()
	return per(begun, n)
}

func contend(n, tasks int, hold, release func()) float64 {
	var left sync.WaitGroup
	left.Add(tasks)
	begun := cpu()
	for i := 0; i < tasks; i++ {
		go func() {
			for k := 0; k < n/tasks; k++ {
				hold()
				if tasks > 1 {
					runtime.Gosched()
				}
				release()
			}
			left.Done()
		}()
	}
	left.Wait()
	return per(begun, n)
}

func mutex(n, tasks int) float64 {
	var m sync.Mutex
	return contend(n, tasks, m.Lock, m.Unlock)
}

func semaphore(n, tasks int) float64 {
	c := make(chan struct{}, 2)
	return contend(n, tasks, func() { c <- struct{}{} }, func() { <-c })
}

func selectTwo(n int) float64 {
	a, b := make(chan uint64, capacity), make(chan uint64, capacity)
	send := func(c chan uint64) {
		for k := 0; k < n/2; k++ {
			c <- uint64(k)
		}
	}
	begun := cpu()
	go send(a)
	go send(b)
	var sum uint64
	for i := 0; i < n/2*2; i++ {
		select {
		case v := <-a:
			sum += v
		case v := <-b:
			sum += v
		}
	}
	return per(begun, n)
}

func spawn(n int) float64 {
	begun := cpu()
	for done := 0; done < n; done += atOnce {
		var left sync.WaitGroup
		left.Add(atOnce)
		for i := 0; i < atOnce; i++ {
			go left.Done()
		}
		left.Wait()
	}
	return per(begun, (n+atOnce-1)/atOnce*atOnce)
}

func resident() float64 {
	text, _ := os.ReadFile("/proc/self/statm")
	pages, _ := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	return pages * float64(os.Getpagesize())
}

func idle(n int) float64 {
	stop := make(chan struct{})
	before := resident()
	for i := 0; i < n; i++ {
		go func() { <-stop }()
	}
	time.Sleep(20 * time.Millisecond)
	return (resident() - before) / float64(n)
}

func timerSet(n int) float64 {
	each := make([]*time.Timer, n)
	order := rand.Perm(n)
	begun := cpu()
	for i := range each {
		each[i] = time.AfterFunc(10*time.Second+time.Duration(rand.Int63n(60e9)), func() {})
	}
	for _, i := range order {
		each[i].Stop()
	}
	return per(begun, n)
}

// From just before they are due to the last one's call.
func timerFire(n int) float64 {
	var left sync.WaitGroup
	left.Add(n)
	due := time.Now().Add(time.Duration(n)*1500 + 20*time.Millisecond)
	for i := 0; i < n; i++ {
		time.AfterFunc(time.Until(due)+time.Duration(rand.Int63n(20e6)), left.Done)
	}
	begun := cpu()
	left.Wait()
	return per(begun, n)
}

func cancelTree(n int) float64 {
	ctx, stop := context.WithCancel(context.Background())
	var all, started sync.WaitGroup
	all.Add(tree)
	started.Add(tree * (n/tree - 1))
	for i := 0; i < tree; i++ {
		go func() {
			inner, end := context.WithCancel(ctx)
			var mine sync.WaitGroup
			for k := 0; k < n/tree-1; k++ {
				mine.Add(1)
				go func() { started.Done(); <-inner.Done(); mine.Done() }()
			}
			mine.Wait()
			end()
			all.Done()
		}()
	}
	started.Wait()
	time.Sleep(50 * time.Millisecond)
	begun := cpu()
	stop()
	all.Wait()
	return per(begun, n)
}

func hash(first, end uint64) uint64 {
	var h uint64
	for i := first; i < end; i++ {
		x := i + 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		h ^= x ^ x>>31
	}
	return h
}

func parallel(n int) float64 {
	t0 := time.Now()
	alone := hash(0, uint64(n))
	t1 := time.Now()
	var next, together uint64
	var left sync.WaitGroup
	grain := uint64(n/256 + 1)
	left.Add(2)
	for i := 0; i < 2; i++ {
		go func() {
			var h uint64
			for {
				end := atomic.AddUint64(&next, grain)
				if end-grain >= uint64(n) {
					break
				}
				last := end
				if last > uint64(n) {
					last = uint64(n)
				}
				h ^= hash(end-grain, last)
			}
			for {
				old := atomic.LoadUint64(&together)
				if atomic.CompareAndSwapUint64(&together, old, old^h) {
					break
				}
			}
			left.Done()
		}()
	}
	left.Wait()
	if together != alone {
		panic("the sums differ")
	}
	return float64(t1.Sub(t0)) / float64(time.Since(t1))
}

func main() {
	rows := map[string]func(int) float64{
		"mpsc-1":         func(n int) float64 { return mpsc(n, 1, 1) },
		"mpsc-4":         func(n int) float64 { return mpsc(n, 4, 1) },
		"mpsc-batch":     func(n int) float64 { return mpsc(n, 1, batch) },
		"mpsc-1-far":     func(n int) float64 { return mpsc(n, 1, 1) },
		"mpsc-4-far":     func(n int) float64 { return mpsc(n, 4, 1) },
		"mpsc-batch-far": func(n int) float64 { return mpsc(n, 1, batch) },
		"oneshot":        oneshot,
		"broadcast":      broadcast,
		"mutex-free":     func(n int) float64 { return mutex(n, 1) },
		"mutex-busy":     func(n int) float64 { return mutex(n, rivals) },
		"semaphore-free": func(n int) float64 { return semaphore(n, 1) },
		"semaphore-busy": func(n int) float64 { return semaphore(n, rivals) },
		"select":         selectTwo,
		"spawn":          spawn,
		"idle":           idle,
		"timer-set-10k":  timerSet,
		"timer-set-1m":   timerSet,
		"timer-fire-10k": timerFire,
		"timer-fire-1m":  timerFire,
		"cancel-tree":    cancelTree,
		"parallel":       parallel,
	}
	if len(os.Args) != 3 || rows[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: ROW OPERATIONS")
		os.Exit(2)
	}
	n, _ := strconv.Atoi(os.Args[2])
	procs := 1
	if strings.HasSuffix(os.Args[1], "-far") || os.Args[1] == "parallel" {
		procs = 2
	}
	runtime.GOMAXPROCS(procs)
	fmt.Printf("Go\t%.3f\n", rows[os.Args[1]](n))
}
