// The REST calls; a lost session leads back to the login.
let csrf = "";
export const setCsrf = (token) => {
  csrf = token;
};

async function call(path, options) {
  const answer = await fetch(`/api/v1/${path}`, { cache: "no-store", ...options });
  if (answer.status === 401) {
    location.assign("/login");
    throw new Error("logged out");
  }
  if (answer.status === 204) return null;
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `error ${answer.status}`);
  return body;
}

export const get = (path) => call(path, {});
export const post = (path, body) =>
  call(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf-token": csrf },
    body: JSON.stringify(body ?? {}),
  });
