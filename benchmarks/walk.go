// Walk in Go for comparison: typed encoding/json, a goroutine for each page in flight. Uses the protocol of contest.py.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

type artifact struct {
	Name               string  `json:"name"`
	RegistryIdentifier string  `json:"registryIdentifier"`
	RegistryUUID       string  `json:"registryUUID"`
	RegistryType       string  `json:"registryType"`
	PackageType        string  `json:"packageType"`
	ArtifactType       string  `json:"artifactType"`
	Version            string  `json:"version"`
	UUID               string  `json:"uuid"`
	Purl               string  `json:"purl"`
	ScanStatus         string  `json:"scanStatus"`
	FirewallMode       string  `json:"firewallMode"`
	IsQuarantined      bool    `json:"isQuarantined"`
	QuarantineReason   string  `json:"quarantineReason"`
	DownloadsCount     *uint64 `json:"downloadsCount"`
	FileCount          *uint64 `json:"fileCount"`
	DigestCount        *uint64 `json:"digestCount"`
	LastModified       string  `json:"lastModified"`
	LastScannedAt      string  `json:"lastScannedAt"`
	DeploymentMetadata *struct {
		ProdEnvCount    *uint64 `json:"prodEnvCount"`
		NonProdEnvCount *uint64 `json:"nonProdEnvCount"`
	} `json:"deploymentMetadata"`
}

type answer struct {
	Data struct {
		Artifacts []artifact `json:"artifacts"`
		ItemCount int        `json:"itemCount"`
	} `json:"data"`
}

type identity struct{ registry, packageType, artifactType, name, version string }

type cell struct {
	registry, packageType, scanStatus, firewallMode string
	quarantined                                     bool
}

type walk struct {
	mutex     sync.Mutex
	seen      map[identity]struct{}
	cells     map[cell]int
	downloads map[string]uint64
}

func (w *walk) add(rows []artifact) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for i := range rows {
		row := &rows[i]
		key := identity{row.RegistryUUID, row.PackageType, row.ArtifactType, row.Name, row.Version}
		if _, known := w.seen[key]; known {
			continue
		}
		w.seen[key] = struct{}{}
		w.cells[cell{row.RegistryIdentifier, row.PackageType, row.ScanStatus, row.FirewallMode, row.IsQuarantined}]++
		if row.DownloadsCount != nil {
			w.downloads[row.RegistryIdentifier] += *row.DownloadsCount
		}
	}
}

func fetch(client *http.Client, url string, page int, size string) answer {
	response, err := client.Get(url + "?page=" + strconv.Itoa(page) + "&size=" + size)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	var decoded answer
	if err := json.NewDecoder(response.Body).Decode(&decoded); err != nil {
		panic(err)
	}
	return decoded
}

func turn(url, size string, connections int) int {
	transport := &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	w := walk{seen: map[identity]struct{}{}, cells: map[cell]int{}, downloads: map[string]uint64{}}
	first := fetch(client, url, 0, size)
	w.add(first.Data.Artifacts)
	rows, _ := strconv.Atoi(size)
	pages := make(chan int)
	var group sync.WaitGroup
	for range connections {
		group.Add(1)
		go func() {
			defer group.Done()
			for page := range pages {
				w.add(fetch(client, url, page, size).Data.Artifacts)
			}
		}()
	}
	for page := 1; page*rows < first.Data.ItemCount; page++ {
		pages <- page
	}
	close(pages)
	group.Wait()
	w.add(fetch(client, url, 0, size).Data.Artifacts)
	return len(w.seen)
}

func main() {
	connections, _ := strconv.Atoi(os.Args[3])
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		began := time.Now()
		result := turn(os.Args[1], os.Args[2], connections)
		fmt.Printf("{\"seconds\": %f, \"result\": %d}\n", time.Since(began).Seconds(), result)
	}
}
