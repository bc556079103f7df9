// Upsert creates a customer and prints what became of it: upsert MERCHANT_ID PHONE [IDEMPOTENCY_KEY]
//
// Exit code 0: accepted, 1: rejected, 2: not known. After 2, start it again with the key that it printed: the command is applied once,
// however often it is sent.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const patience = 30 * time.Second

func main() {
	if len(os.Args) < 3 || len(os.Args) > 4 {
		fmt.Fprintln(os.Stderr, "usage: upsert MERCHANT_ID PHONE [IDEMPOTENCY_KEY]")
		os.Exit(2)
	}
	key := rand.Text()
	if len(os.Args) == 4 {
		key = os.Args[3]
	}
	result, err := upsert(os.Args[1], os.Args[2], key)
	if err != nil {
		fmt.Fprintf(os.Stderr, "not known: %v. Send it again, unaltered, with the idempotency key %s\n", err, key)
		os.Exit(2)
	}
	again := ""
	if result.Duplicate {
		again = " duplicate"
	}
	if result.Status != "accepted" {
		fmt.Printf("rejected %s: %s%s\n", result.Rejection.Code, result.Rejection.Message, again)
		os.Exit(1)
	}
	fmt.Printf("accepted %s %s%s\n", *result.Effect, *result.CustomerID, again)
}

func upsert(merchant, phone, key string) (*Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	prefix, ok := os.LookupEnv("TOPIC_PREFIX")
	if !ok {
		prefix = "loyalty."
	}
	brokers := kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BOOTSTRAP"), ",")...)

	// The ends are looked up before the command is sent: "from the end" would mean the end at the first fetch, when the result may be
	// there already.
	ends, err := endOffsets(ctx, brokers, prefix+"results")
	if err != nil {
		return nil, fmt.Errorf("the ends of %sresults: %w", prefix, err)
	}
	client, err := kgo.NewClient(
		brokers,
		// Partitions and no group: nothing is committed, and nothing stays behind.
		kgo.ConsumePartitions(ends),
		// The worker publishes in transactions, and read_committed is not this library's default.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// murmur2 over the key, as in Java, brings a merchant's commands to one lane. acks=all and idempotence are the defaults.
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()

	command, err := json.Marshal(map[string]any{
		"envelope": map[string]string{"merchant_id": merchant, "idempotency_key": key},
		"command":  map[string]string{"phone": phone},
	})
	if err != nil {
		return nil, err
	}
	record := &kgo.Record{Topic: prefix + "customer-upsert", Key: []byte(merchant), Value: command}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return nil, fmt.Errorf("the command may not have been sent: %w", err)
	}
	return awaitResult(ctx, client, merchant, key)
}

func endOffsets(ctx context.Context, brokers kgo.Opt, topic string) (map[string]map[int32]kgo.Offset, error) {
	admin, err := kadm.NewOptClient(brokers)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	return ends.KOffsets(), err
}
