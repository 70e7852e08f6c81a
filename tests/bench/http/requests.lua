-- For wrk: asks for the paths in a file, one after the other, and reports the
-- figures as one line of JSON.
--
--   wrk ... -s requests.lua URL -- FILE

local requests = {}
local next_request = 0

function init(args)
  for path in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "bytes": %d, "duration_us": %d, "p50_us": %d, '
      .. '"p99_us": %d, "failed": %d, "refused": %d}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout,
    errors.status))
end
