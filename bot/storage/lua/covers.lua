-- Forgets covers and remembers covers, all of it or nothing; the newest are at the end.
-- KEYS[1] prefix; ARGV[1] how many are kept, ARGV[2] seconds that the new ones have to be kept, ARGV[3] how many end, then each
-- that ends and each that is new (JSON, letter by letter as it was written)
-- Returns how many of those that end were there.
-- Safe to repeat: a new one that is there already moves to the end, where the first time has put it.
local key = KEYS[1] .. 'covers'
local kept_s = math.max(redis.call('TTL', key), tonumber(ARGV[2]))
local first_new = 4 + tonumber(ARGV[3])
local ended = 0
for i = 4, first_new - 1 do
  if redis.call('LREM', key, 0, ARGV[i]) > 0 then ended = ended + 1 end
end
for i = first_new, #ARGV do
  redis.call('LREM', key, 0, ARGV[i])
  redis.call('RPUSH', key, ARGV[i])
end
redis.call('LTRIM', key, -tonumber(ARGV[1]), -1)
if kept_s > 0 then redis.call('EXPIRE', key, kept_s) end
return ended
