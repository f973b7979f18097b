-- Remembers covers, all of them or none; the newest are at the end.
-- KEYS[1] prefix; ARGV[1] how many are kept, ARGV[2] seconds that these have to be kept, then each cover (JSON)
-- Safe to repeat: what is there already moves to the end, where the first time has put it.
local key = KEYS[1] .. 'covers'
local kept_s = math.max(redis.call('TTL', key), tonumber(ARGV[2]))
for i = 3, #ARGV do
  redis.call('LREM', key, 0, ARGV[i])
  redis.call('RPUSH', key, ARGV[i])
end
redis.call('LTRIM', key, -tonumber(ARGV[1]), -1)
redis.call('EXPIRE', key, kept_s)
return 0
