// One file of tests for all that the pages and the comments show, since their programs are compiled together.
import './examples.js'
import './readme.js'
import './recipes.js'
