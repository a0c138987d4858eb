-- SQLite: tables in memory are filled, indexed, joined, grouped, changed and thinned out. Stands for
-- programs that keep their state in it. It wants a table `amount` with one column, `percent`.

CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER, price REAL, note TEXT);

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT percent * 900 FROM amount))
INSERT INTO customer SELECT i, 'customer ' || i, 'city ' || (i * 7919 % 500) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT percent * 7500 FROM amount))
INSERT INTO purchase SELECT i, i * 104729 % (SELECT percent * 900 FROM amount) + 1, i % 1000 / 10.0,
       substr('a note of some length that differs from row to row, more or less', 1, i * 31 % 60) FROM n;
CREATE INDEX by_customer ON purchase (customer);
CREATE INDEX by_city ON customer (city, name);

SELECT count(*) FROM (SELECT city, sum(price) AS total, group_concat(note, ',') FROM customer
  JOIN purchase ON purchase.customer = customer.id GROUP BY city ORDER BY total);
UPDATE purchase SET note = note || ' changed' WHERE id % 3 = 0;
DELETE FROM purchase WHERE id % 4 <> 0;
SELECT count(*), sum(length(upper(note))) FROM purchase JOIN customer ON customer.id = customer
  WHERE name LIKE '%9%';
