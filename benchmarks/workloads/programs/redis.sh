#!/bin/sh
# The clients of the redis workload: loads of redis-benchmark, small values and large; most keys go, new and
# larger ones come. redis.sh SOCKET AMOUNT
set -eu
socket=$1
trap 'redis-cli -s "$socket" shutdown nosave >/dev/null 2>&1 || true' EXIT # whatever happens, the server ends
ask() { redis-cli -s "$socket" "$@" >/dev/null 2>&1; }
load() { redis-benchmark -s "$socket" -q -r 100000 "$@" >/dev/null; }

until ask ping; do sleep 0.02; done
load -n $((2000 * $2)) -d 100 -P 16 -t set,get,lpush,hset,sadd,zadd
ask eval 'for i, k in ipairs(redis.call("keys", "key:*")) do if i % 10 > 0 then redis.call("del", k) end end' 0
load -n $((1000 * $2)) -d 700 -P 16 -t set,get
ask eval 'for i, k in ipairs(redis.call("keys", "key:*")) do if i % 10 > 0 then redis.call("del", k) end end' 0
load -n $((500 * $2)) -t get
