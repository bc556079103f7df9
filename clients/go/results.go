package main

import (
	"context"
	"fmt"
	"os"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// Result has the fields that are needed here; the others are passed over, also those that a later schema may bring.
type Result struct {
	IdempotencyKey string  `avro:"idempotency_key"`
	CustomerID     *string `avro:"customer_id"`
	Status         string  `avro:"status"`
	Duplicate      bool    `avro:"duplicate"`
	Effect         *string `avro:"effect"`
	Rejection      *struct {
		Code    string `avro:"code"`
		Message string `avro:"message"`
	} `avro:"rejection"`
}

func awaitResult(ctx context.Context, client *kgo.Client, merchant, key string) (*Result, error) {
	registry, err := sr.NewClient(sr.URLs(os.Getenv("REGISTRY_URL")))
	if err != nil {
		return nil, err
	}
	schemas := map[int]*avro.Schema{} // by id: a schema never changes, so it is asked for once
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no result within %s", patience)
		}
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for record := range fetches.RecordsAll() {
			if string(record.Key) != merchant {
				continue
			}
			result, err := decode(ctx, registry, schemas, record.Value)
			if err != nil {
				return nil, err
			}
			if result.IdempotencyKey == key {
				return result, nil
			}
		}
	}
}

// decode reads Confluent's wire format: a zero, the id of the writer's schema in four bytes, the datum.
func decode(ctx context.Context, registry *sr.Client, schemas map[int]*avro.Schema, value []byte) (*Result, error) {
	id, datum, err := new(sr.ConfluentHeader).DecodeID(value)
	if err != nil {
		return nil, err
	}
	if schemas[id] == nil {
		registered, err := registry.SchemaByID(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("schema %d: %w", id, err)
		}
		if schemas[id], err = avro.Parse(registered.Schema); err != nil {
			return nil, fmt.Errorf("schema %d: %w", id, err)
		}
	}
	var result Result
	_, err = schemas[id].Decode(datum, &result, avro.SkipUnknown())
	return &result, err
}
