-- Hands a task back, to be claimed again in delay_ms; the attempt stays counted.
-- KEYS[1] prefix; ARGV[1] id, ARGV[2] token, ARGV[3] delay_ms, ARGV[4] '1' when time travel is allowed
-- Returns 1, or 0 when it is not held with this token any more.
local p = KEYS[1]
local k = p .. 'task:' .. ARGV[1]
if redis.call('HGET', k, 'token') ~= ARGV[2] then return 0 end
redis.call('HDEL', k, 'token')
redis.call('HSET', k, 'state', 'pending')
redis.call('ZADD', p .. 'due', now_ms(p, ARGV[4]) + tonumber(ARGV[3]), ARGV[1])
return 1
