// What answers to a page's own polling mean besides their content: a page that goes stale says so,
// and one whose log-in has run out leads there, instead of showing it inside itself.
{
  const LOGIN_PATH = document.querySelector('meta[name="login-path"]').content;
  let answeredAt = new Date();

  function isPolled(element) {
    return (element.getAttribute("hx-trigger") || "").startsWith("every");
  }

  function sayStale(element, reason) {
    let notice = element.querySelector(".stale");
    if (!notice) {
      notice = document.createElement("p");
      notice.className = "message warning stale";
      notice.setAttribute("role", "status");
      element.prepend(notice);
    }
    const words = `${reason} What stands here is from ${answeredAt.toLocaleTimeString()}; the page asks again by itself.`;
    if (notice.textContent !== words) notice.textContent = words;
  }

  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (new URL(detail.xhr.responseURL).pathname === LOGIN_PATH) {
      detail.shouldSwap = false;
      window.location.reload();
    } else if (detail.shouldSwap && isPolled(detail.elt)) {
      answeredAt = new Date(); // the notice goes with what is swapped out
    }
  });

  document.addEventListener("htmx:responseError", ({ detail }) => {
    if (!isPolled(detail.elt)) return;
    const isDatabase = detail.xhr.status === 503;
    sayStale(detail.elt, isDatabase ? "The database is away for a moment." : "The site can't answer just now.");
  });

  document.addEventListener("htmx:sendError", ({ detail }) => {
    if (isPolled(detail.elt)) sayStale(detail.elt, "The site can't be reached.");
  });
}
