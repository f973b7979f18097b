-- What a long run keeps: remembers notes, queues items and ends items, all of it or nothing.
-- KEYS[1] prefix of the job; ARGV[1] JSON: {"add": [item, …], "end": [item, how, …], "notes": [name, JSON, …]}; ARGV[2] for how
-- many seconds from now it is kept.
-- An item that ended, or is in the queue, is not queued again. Safe to repeat.
local p = KEYS[1]
local queue, ended, notes = p .. 'queue', p .. 'ended', p .. 'notes'
local ask = cjson.decode(ARGV[1])
local newest = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')
local place = tonumber(newest[2] or '0')
for _, item in ipairs(ask['add']) do
  if redis.call('HEXISTS', ended, item) == 0 and redis.call('ZADD', queue, 'NX', place + 1, item) == 1 then place = place + 1 end
end
for i = 1, #ask['end'], 2 do
  redis.call('ZREM', queue, ask['end'][i])
  redis.call('HSET', ended, ask['end'][i], ask['end'][i + 1])
end
for i = 1, #ask['notes'], 2 do
  redis.call('HSET', notes, ask['notes'][i], ask['notes'][i + 1])
end
for _, key in ipairs({queue, ended, notes}) do redis.call('EXPIRE', key, ARGV[2]) end
return 1
