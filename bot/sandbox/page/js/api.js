// The sandbox's control API, as one small client. Every answer is JSON; a refusal becomes an ApiError with words for a person.

export class ApiError extends Error {
  constructor(message, { status = 0, code = null } = {}) {
    super(message);
    this.status = status; // HTTP status; 0 when nobody answered
    this.code = code;
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    throw new ApiError("The sandbox does not answer. Is `make demo` still running?", { cause: error });
  }
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new ApiError(`The sandbox answered ${response.status} with something that is not JSON: ${text.slice(0, 120)}`, { status: response.status });
  }
  if (!response.ok) throw new ApiError(answer.message ?? answer.error ?? `The sandbox answered ${response.status}`, { status: response.status, code: answer.error ?? null });
  return answer;
}

export const get = (path, params = {}) => {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== undefined && value !== null));
  return ask(`/sandbox/${path}?${query}`);
};

export const post = (path, body) => ask(`/sandbox/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
