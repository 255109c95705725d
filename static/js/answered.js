// What a page does that answers a form. It takes the address of the page that it is: loaded anew, or
// come back to, it sends nothing twice, and where forms go to there is nothing to open. And it leads
// to the first field that was refused, which on a phone may lie far below.
{
  const address = document.querySelector('meta[name="page-address"]').content;
  if (address) history.replaceState(history.state, "", address);
  document.querySelector('[aria-invalid="true"]')?.focus();
}
