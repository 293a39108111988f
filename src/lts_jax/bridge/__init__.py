"""Where text and arrays meet: records become arrays, an array a decision. The only room that imports both sides."""
