// Command wireclient talks to a server as Grafana's PostgreSQL data source does, through pgx
// (Grafana 12.4 and later) or lib/pq (before), and prints what it was told as JSON, one line a step.
//
// Usage: wireclient pgx|pq URL WRONG_URL < statements, one JSON string a line
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lib/pq"
)

// column is a column as Grafana tells its type: by the name of its OID, empty if it is unknown.
type column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// answer is what one step brought.
type answer struct {
	Step    string     `json:"step"`
	Tag     string     `json:"tag,omitempty"`
	Columns []column   `json:"columns,omitempty"`
	Rows    [][]string `json:"rows,omitempty"`
	Count   int        `json:"count"`
	Error   string     `json:"error,omitempty"`
}

func (a answer) print() {
	line, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// failed names an error by its SQLSTATE, where it has one.
func failed(err error) string {
	var fromPgx *pgconn.PgError
	var fromPq *pq.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &fromPgx):
		return fromPgx.Code
	case errors.As(err, &fromPq):
		return string(fromPq.Code)
	}
	return err.Error()
}

// driver is what the steps need of either of the two.
type driver interface {
	ping(ctx context.Context) error
	panel(ctx context.Context, statement string) answer
	prepared(ctx context.Context) answer
	close()
}

func main() {
	open := map[string]func(string) (driver, error){"pgx": openPgx, "pq": openPq}[os.Args[1]]
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if wrong, err := open(os.Args[3]); err == nil {
		answer{Step: "wrong password", Error: failed(wrong.ping(ctx))}.print()
		wrong.close()
	}
	client, err := open(os.Args[2])
	if err != nil {
		panic(err)
	}
	defer client.close()
	answer{Step: "ping", Error: failed(client.ping(ctx))}.print()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var statement string
		if err := json.Unmarshal(lines.Bytes(), &statement); err != nil {
			panic(err)
		}
		told := client.panel(ctx, statement)
		told.Step = statement
		told.print()
	}
	cancelled(ctx, client).print()
	time.Sleep(1100 * time.Millisecond) // pgxpool pings a connection that was idle for a second
	answer{Step: "ping after idling", Error: failed(client.ping(ctx))}.print()
	told := client.prepared(ctx)
	told.Step = "prepared"
	told.print()
	answer{Step: "50 at once", Count: together(ctx, client, 50)}.print()
}

// cancelled leaves a panel while its statement runs, which cancels it.
func cancelled(ctx context.Context, client driver) answer {
	leaving, leave := context.WithTimeout(ctx, 300*time.Millisecond)
	defer leave()
	start := time.Now()
	told := client.panel(leaving, "SELECT pg_sleep(600)")
	if told.Error != "" && time.Since(start) < 20*time.Second {
		told.Error = "cancelled"
	}
	told.Step = "cancel"
	return told
}

// together runs panels at once and counts those that came back whole.
func together(ctx context.Context, client driver, panels int) int {
	results := make(chan bool, panels)
	var running sync.WaitGroup
	for range panels {
		running.Add(1)
		go func() {
			defer running.Done()
			told := client.panel(ctx, "SELECT * FROM range(1000)")
			results <- told.Error == "" && told.Count == 1000
		}()
	}
	running.Wait()
	close(results)
	whole := 0
	for is := range results {
		if is {
			whole++
		}
	}
	return whole
}

type pgxDriver struct{ pool *pgxpool.Pool }

func openPgx(url string) (driver, error) {
	pool, err := pgxpool.New(context.Background(), url)
	return pgxDriver{pool}, err
}

func (d pgxDriver) ping(ctx context.Context) error { return d.pool.Ping(ctx) }
func (d pgxDriver) close()                         { d.pool.Close() }

// panel asks by the simple protocol, and reads every result, as Grafana does.
func (d pgxDriver) panel(ctx context.Context, statement string) answer {
	connection, err := d.pool.Acquire(ctx)
	if err != nil {
		return answer{Error: failed(err)}
	}
	defer connection.Release()
	var told answer
	known := pgtype.NewMap()
	reader := connection.Conn().PgConn().Exec(ctx, statement)
	for reader.NextResult() {
		result := reader.ResultReader()
		for _, field := range result.FieldDescriptions() {
			kind, _ := known.TypeForOID(field.DataTypeOID)
			name := ""
			if kind != nil {
				name = kind.Name
			}
			told.Columns = append(told.Columns, column{field.Name, name})
		}
		for result.NextRow() {
			told.Count++
			if told.Count <= 3 {
				var row []string
				for _, value := range result.Values() {
					row = append(row, string(value))
				}
				told.Rows = append(told.Rows, row)
			}
		}
		tag, err := result.Close()
		told.Tag = tag.String()
		if err != nil {
			told.Error = failed(err)
		}
	}
	if err := reader.Close(); err != nil && told.Error == "" {
		told.Error = failed(err)
	}
	return told
}

// prepared asks by the extended protocol, with parameters and binary results.
func (d pgxDriver) prepared(ctx context.Context) answer {
	rows, err := d.pool.Query(
		ctx,
		"SELECT $1::BIGINT, $2 || '!', $3::DOUBLE, TIMESTAMP '2026-01-02 03:04:05', true, 1.50::DECIMAL(9, 2), NULL::INTEGER",
		int64(7), "text", 0.5,
	)
	if err != nil {
		return answer{Error: failed(err)}
	}
	defer rows.Close()
	var told answer
	for rows.Next() {
		var number int64
		var text string
		var float float64
		var at time.Time
		var truth bool
		var decimal pgtype.Numeric
		var none *int32
		if err := rows.Scan(&number, &text, &float, &at, &truth, &decimal, &none); err != nil {
			return answer{Error: err.Error()}
		}
		amount, _ := decimal.Value()
		told.Count++
		told.Rows = append(told.Rows, []string{
			fmt.Sprint(number), text, fmt.Sprint(float), at.Format(time.RFC3339), fmt.Sprint(truth),
			fmt.Sprint(amount), fmt.Sprint(none == nil),
		})
	}
	told.Error = failed(rows.Err())
	return told
}

type pqDriver struct{ db *sql.DB }

func openPq(url string) (driver, error) {
	db, err := sql.Open("postgres", url)
	return pqDriver{db}, err
}

func (d pqDriver) ping(ctx context.Context) error { return d.db.PingContext(ctx) }
func (d pqDriver) close()                         { d.db.Close() }

// panel asks without arguments, which is lib/pq's simple protocol.
func (d pqDriver) panel(ctx context.Context, statement string) answer {
	rows, err := d.db.QueryContext(ctx, statement)
	if err != nil {
		return answer{Error: failed(err)}
	}
	defer rows.Close()
	return read(rows)
}

// prepared asks with arguments, which lib/pq prepares.
func (d pqDriver) prepared(ctx context.Context) answer {
	rows, err := d.db.QueryContext(
		ctx,
		"SELECT $1::BIGINT, $2 || '!', $3::DOUBLE, TIMESTAMP '2026-01-02 03:04:05', true, 1.50::DECIMAL(9, 2), CAST($4 AS INTEGER) IS NULL",
		int64(7), "text", 0.5, nil,
	)
	if err != nil {
		return answer{Error: failed(err)}
	}
	defer rows.Close()
	return read(rows)
}

func read(rows *sql.Rows) answer {
	var told answer
	kinds, err := rows.ColumnTypes()
	if err != nil {
		return answer{Error: failed(err)}
	}
	for _, kind := range kinds {
		told.Columns = append(told.Columns, column{kind.Name(), kind.DatabaseTypeName()})
	}
	for rows.Next() {
		values := make([]any, len(kinds))
		for i := range values {
			values[i] = new(sql.NullString)
		}
		if err := rows.Scan(values...); err != nil {
			return answer{Error: err.Error()}
		}
		told.Count++
		if told.Count <= 3 {
			var row []string
			for _, value := range values {
				row = append(row, value.(*sql.NullString).String)
			}
			told.Rows = append(told.Rows, row)
		}
	}
	told.Error = failed(rows.Err())
	return told
}
