-- Saves what is recorded as done in a room, as long as the room's task is held with this token.
-- KEYS[1] prefix; ARGV[1] incident, ARGV[2] task id, ARGV[3] token, ARGV[4] record (JSON)
local p = KEYS[1]
if redis.call('HGET', p .. 'task:' .. ARGV[2], 'token') ~= ARGV[3] then return 0 end
redis.call('SET', p .. 'inc:' .. ARGV[1] .. ':room', ARGV[4])
return 1
