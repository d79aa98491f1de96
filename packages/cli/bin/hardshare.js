#!/usr/bin/env node
import "../program/hardshare.js";
