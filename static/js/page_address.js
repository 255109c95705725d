// A page that answers a form takes the address of the page that it is: loaded anew, or come back to, it
// sends nothing twice, and where forms go to there is nothing to open.
{
  const address = document.querySelector('meta[name="page-address"]').content;
  if (address) history.replaceState(history.state, "", address);
}
