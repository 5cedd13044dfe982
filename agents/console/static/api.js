// The REST calls; a lost session leads back to the login.
let csrf = "";
export const setCsrf = (token) => {
  csrf = token;
};

async function ask(path, options) {
  const answer = await fetch(`/api/v1/${path}`, { cache: "no-store", ...options });
  if (answer.status === 401) {
    location.assign("/login");
    throw new Error("logged out");
  }
  if (answer.status === 204) return { body: null, total: 0 };
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `error ${answer.status}`);
  return { body, total: Number(answer.headers.get("x-total-count") ?? 0) };
}

const call = async (path, options) => (await ask(path, options)).body;

export const get = (path) => call(path, {});
// A list and how long it would be without a limit: { body, total }.
export const getList = (path) => ask(path, {});
export const post = (path, body) =>
  call(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf-token": csrf },
    body: JSON.stringify(body ?? {}),
  });
